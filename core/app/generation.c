/* SPDX-License-Identifier: MIT */
#include "app/generation.h"

#include "app/ide.h"
#include "app/proto_load.h"
#include "app/schema_files.h"
#include "app/trusted.h"
#include "base/alloc.h"

static bool is_schema_file(const pl_file *file)
{
    return pl_file_is(file, "schema/", ".graphql") || pl_file_is(file, "schema/", ".graphqls") ||
           pl_file_is(file, "schema/", ".gql");
}

pl_code pl_bundle_schema(const pl_bundle *bundle, const gql_schema_options *options, pl_report *report,
                         gql_schema **out)
{
    size_t count = 0;
    gql_source *sources = pl_calloc(bundle->file_count + 1, sizeof *sources);
    *out = NULL;
    if (!sources) {
        report->errors.out_of_memory = true;
        return PL_RESOURCE_EXHAUSTED;
    }
    for (size_t i = 0; i < bundle->file_count; i++) {
        const pl_file *file = &bundle->files[i];
        if (is_schema_file(file))
            sources[count++] = (gql_source){.name = file->path.ptr, .text = file->bytes};
    }
    pl_code code = count == 0 ? PL_OK : gql_schema_build(sources, count, options, &report->errors, out);
    if (code && report->errors.count == 0)
        report->errors.out_of_memory = true;
    pl_free(sources);
    return code;
}

static bool read_documents(pl_generation *g, pl_report *report)
{
    const pl_reading_config *reading = &g->config.reading;
    if (reading->documents.mode == PL_DOCUMENTS_OFF)
        return true;
    g->trusted = pl_trusted_new(g->bundle, reading->documents.path, g->schema, &g->config.graphql, report);
    return g->trusted != NULL;
}

static bool has_hidden_part(pl_str path)
{
    return pl_str_starts(path, PL_STR(".")) || memmem(path.ptr, path.len, "/.", 2);
}

/* Where scripts may save uploads; relative to the bundle, but no part of it, or what a client sends could
 * become code. */
static pl_str upload_directory(pl_generation *g, pl_str path, pl_report *report)
{
    pl_str bundle = g->bundle->directory;
    pl_str whole = path.len == 0 || path.ptr[0] == '/' || bundle.len == 0
                       ? path
                       : pl_arena_printf(&g->arena, "%.*s/%.*s", PL_STR_ARG(bundle), PL_STR_ARG(path));
    report->errors.out_of_memory |= !whole.ptr;
    if (whole.ptr && bundle.len > 0 && pl_str_starts(whole, bundle) &&
        (whole.len == bundle.len || whole.ptr[bundle.len] == '/') &&
        !has_hidden_part((pl_str){whole.ptr + bundle.len, whole.len - bundle.len}))
        pl_report_error(
            report, "app.lua", 0, 0,
            "http.uploads.directory must be no folder of the bundle, as what is saved there would be "
            "part of it: choose one elsewhere, or a hidden one such as \".uploads\".");
    return whole;
}

/* Uploads are there when the setting is on and the schema has a place for them. */
static bool allow_uploads(pl_generation *g, pl_report *report)
{
    pl_reading_config *reading = &g->config.reading;
    size_t files = (size_t)reading->uploads.max_files * reading->uploads.max_file_size;
    if (!reading->uploads.on)
        return true;
    if (!g->schema || !gql_schema_type(g->schema, PL_STR("Upload"))) {
        pl_report_warning(
            report, "app.lua", 0, 0,
            "http.uploads is on, but the schema has no \"scalar Upload\": no upload is accepted.");
        reading->uploads.on = false;
        return true;
    }
    if (reading->uploads.max_size == 0)
        reading->uploads.max_size = files + ((size_t)1 << 20); /* with what is around them */
    if (reading->uploads.max_total == 0)
        reading->uploads.max_total = reading->uploads.max_size * 8;
    reading->uploads.directory = upload_directory(g, reading->uploads.directory, report);
    g->config.http.uploads = (pl_http_uploads){.path = g->config.path,
                                               .max_size = reading->uploads.max_size,
                                               .max_total = reading->uploads.max_total,
                                               .timeout_ms = reading->uploads.timeout_ms};
    return !pl_report_has_errors(report);
}

static bool check_topics(pl_generation *g, pl_report *report)
{
    const pl_schema_sources sources = {
        .bundle = g->bundle, .protos = pl_protos_pool(g->protos), .config = &g->config.schemas};
    pl_topics_check(&sources, g->schemas, report);
    return !pl_report_has_errors(report);
}

/* The first instance reads the settings, which the schema and the others are built with. */
static bool build_instance(pl_generation *g, unsigned worker, const pl_generation_options *options,
                           pl_report *report)
{
    pl_instance_source source = {.engine = options->engine,
                                 .bundle = g->bundle,
                                 .config = &g->config,
                                 .config_arena = &g->arena,
                                 .read_config = worker == 0,
                                 .log = options->log,
                                 .shared = options->shared,
                                 .compiled = options->compiled,
                                 .protos = pl_protos_pool(g->protos),
                                 .schemas = g->schemas,
                                 .natives = options->natives,
                                 .testing = options->testing};
    pl_instance *instance = pl_instance_open(&source, report);
    if (!instance)
        return false;
    g->instances[worker] = instance;
    g->instances_left++;
    instance->generation = g;
    if (worker == 0) {
        if (options->override)
            options->override(options->override_data, &g->config);
        if (g->config.ide.enabled && pl_ide_built_in.count == 0)
            pl_report_warning(report, "app.lua", 0, 0,
                              "http.graphiql is set, but this build is without the page's files: "
                              "\"make graphiql build\" gets them.");
        if (pl_bundle_schema(g->bundle, &g->config.schema, report, &g->schema) != PL_OK ||
            !read_documents(g, report) || !allow_uploads(g, report) || !check_topics(g, report))
            return false;
    }
    source.schema = g->schema;
    return pl_instance_bind(instance, &source, report);
}

pl_generation *pl_generation_build(pl_bundle *bundle, const pl_generation_options *options, pl_report *report)
{
    pl_generation *g = pl_calloc(1, sizeof *g);
    if (!g) {
        report->errors.out_of_memory = true;
        return NULL;
    }
    pl_arena_init(&g->arena, 0);
    g->bundle = pl_bundle_ref(bundle);
    pl_config_default(&g->config);
    clock_gettime(CLOCK_REALTIME, &g->loaded_at);
    g->instance_count = options->workers;
    g->instances = pl_arena_array(&g->arena, options->workers, sizeof(*g->instances));
    bool ok = g->instances != NULL && pl_protos_load(bundle, options->protos, report, &g->protos) &&
              pl_json_schemas_load(bundle, report, &g->schemas);
    for (unsigned i = 0; ok && i < options->workers; i++)
        ok = build_instance(g, i, options, report);
    pl_report_keep(report);
    if (ok)
        return g;
    if (!pl_report_has_errors(report))
        report->errors.out_of_memory = true;
    pl_generation_free(g);
    return NULL;
}

void pl_generation_free(pl_generation *g)
{
    if (!g)
        return;
    for (unsigned i = 0; g->instances && i < g->instance_count; i++)
        pl_instance_free(g->instances[i]);
    pl_trusted_free(g->trusted);
    gql_schema_free(g->schema);
    pl_protos_unref(g->protos);
    pl_json_schemas_free(g->schemas);
    pl_bundle_unref(g->bundle);
    pl_arena_dispose(&g->arena);
    pl_free(g);
}
