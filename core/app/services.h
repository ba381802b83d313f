/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SERVICES_H
#define PL_APP_SERVICES_H

#include "app/instance.h"

/* Files of services/: each returns { ["package.Service"] = { Method = function } }; tables of several files
 * merge. */

bool pl_bundle_has_services(const pl_bundle *bundle);
/* Loads them and makes instance->grpc, where there are any. What is wrong goes to the report. Below
 * pl_protect. */
void pl_services_load(pl_instance *instance, const pl_instance_source *source, pl_report *report);

#endif
