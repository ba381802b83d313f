/* SPDX-License-Identifier: MIT */
#include "app/api_internal.h"

/* Functions of the host program. The list is read by generations that are built, so it is left alone once the
 * app has started. */
static bool begin(pl_app *app)
{
    pthread_mutex_lock(&app->lock);
    if (app->state == PL_APP_NEW)
        return true;
    pthread_mutex_unlock(&app->lock);
    return false;
}

static pl_code end(pl_app *app, pl_code code)
{
    pthread_mutex_unlock(&app->lock);
    return code == PL_ALREADY_EXISTS ? PL_INVALID_ARGUMENT : code;
}

pl_code pl_app_resolver(pl_app *app, const char *type, const char *field, pl_native_function function,
                        void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_resolver(app->natives, type, field, function, data));
}

pl_code pl_app_scalar(pl_app *app, const char *type, pl_native_function serialize, pl_native_function parse,
                      void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_scalar(app->natives, type, serialize, parse, data));
}

pl_code pl_app_mark_scalar(pl_app *app, const char *type)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_mark_scalar(app->natives, type));
}

pl_code pl_app_method(pl_app *app, const char *service, const char *method, pl_native_function function,
                      void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_method(app->natives, service, method, false, function, data));
}

pl_code pl_app_method_bytes(pl_app *app, const char *service, const char *method, pl_native_function function,
                            void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_method(app->natives, service, method, true, function, data));
}

pl_code pl_app_consumer(pl_app *app, const char *declaration, pl_native_function handler, void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_consumer(app->natives, declaration, handler, data, NULL));
}

pl_code pl_app_interceptor(pl_app *app, pl_native_function before, pl_native_function after, void *data)
{
    if (!begin(app))
        return PL_FAILED_PRECONDITION;
    return end(app, pl_natives_add_interceptor(app->natives, before, after, data));
}
