/* SPDX-License-Identifier: MIT */
#include "graphql/admission.h"

#include <math.h>
#include <stdio.h>

static pl_str header_of(const pl_work *work, pl_str name)
{
    for (size_t i = 0; i < work->header_count; i++) {
        if (pl_str_eq(work->headers[i].name, name))
            return work->headers[i].value;
    }
    return PL_STR("");
}

/* The shortest way to write it; never in exponents. */
static void write_number(pl_buf *out, double n)
{
    if (n == floor(n))
        pl_buf_printf(out, "%.0f", n);
    else
        pl_buf_printf(out, "%.2f", n);
}

static bool refuse_memory(gql_diagnostics *errors, pl_code *code)
{
    errors->out_of_memory = true;
    *code = PL_RESOURCE_EXHAUSTED;
    return false;
}

static bool refuse_limit(gql_diagnostics *errors, pl_code *code, const gql_operation *operation,
                         const gql_source *source, const char *limit, double cost, double most,
                         const char *message)
{
    gql_diagnostic *d = gql_diagnose(errors, NULL, source, operation->loc, (gql_loc){0}, "%s", message);
    if (d) {
        d->limit = limit;
        d->value = (uint64_t)ceil(cost);
        d->most = (uint64_t)most;
    }
    *code = PL_RESOURCE_EXHAUSTED;
    return false;
}

static bool refuse_unsliced(gql_diagnostics *errors, pl_code *code, const gql_source *source,
                            const gql_unsliced *unsliced)
{
    pl_buf names;
    pl_buf_init(&names);
    gql_cost_write_slicing(&names, unsliced);
    if (names.failed) {
        refuse_memory(errors, code);
    } else {
        gql_diagnose(errors, NULL, source, unsliced->field->loc, (gql_loc){0},
                     "Field \"%.*s\" needs a number for exactly one of its arguments %.*s, but has %u.",
                     PL_STR_ARG(unsliced->field->name.text), PL_STR_ARG(pl_buf_view(&names)),
                     unsliced->count);
        *code = PL_INVALID_ARGUMENT;
    }
    pl_buf_dispose(&names);
    return false;
}

static bool within_budget(const gql_cost_options *options, pl_work *work, const gql_operation *operation,
                          const gql_source *source, gql_diagnostics *errors, pl_code *code,
                          gql_admission *out)
{
    char message[200];
    if (options->admit(options->admit_data, work, out->cost, &out->budget))
        return true;
    if (out->budget.no_memory)
        return refuse_memory(errors, code);
    out->throttled = true;
    if (out->cost > out->budget.capacity)
        snprintf(message, sizeof message,
                 "The operation costs %.0f, more than graphql.rate_limit.capacity, which is %.0f.",
                 ceil(out->cost), out->budget.capacity);
    else
        snprintf(
            message, sizeof message,
            "Too many operations: this one costs %.0f, and %.0f are left of graphql.rate_limit. Try again in "
            "%.1f s.",
            ceil(out->cost), floor(out->budget.left), ceil((double)out->budget.retry_after_ms / 100) / 10);
    refuse_limit(errors, code, operation, source, "rate_limit", out->cost, out->budget.capacity, message);
    if (errors->last && out->cost <= out->budget.capacity)
        errors->last->retry_after_ms = out->budget.retry_after_ms;
    return false;
}

static bool judge(const gql_cost_options *options, pl_work *work, const gql_operation *operation,
                  const gql_source *source, const gql_cost_result *result, gql_diagnostics *errors,
                  pl_code *code, gql_admission *out)
{
    char message[120];
    if (result->unsliced.field && (options->max_cost > 0 || options->admit))
        return refuse_unsliced(errors, code, source, &result->unsliced);
    if (options->max_cost > 0 && result->cost > (double)options->max_cost) {
        snprintf(message, sizeof message, "The operation costs %.0f; graphql.max_cost allows %llu.",
                 ceil(result->cost), (unsigned long long)options->max_cost);
        return refuse_limit(errors, code, operation, source, "max_cost", result->cost,
                            (double)options->max_cost, message);
    }
    return out->only || out->paid || !options->admit ||
           within_budget(options, work, operation, source, errors, code, out);
}

bool gql_admit(gql_documents *documents, gql_prepared *prepared, const gql_operation *operation,
               const gql_variable *variables, uint32_t variable_count, pl_work *work, gql_diagnostics *errors,
               pl_code *code, gql_admission *out)
{
    const gql_cost_options *options = gql_documents_cost_options(documents);
    const gql_source *source = gql_prepared_document(prepared)->source;
    const gql_cost_plan *plan;
    gql_cost_result result;
    pl_error err;
    pl_error_clear(&err);
    pl_str asked = header_of(work, PL_STR("graphql-cost"));
    *out = (gql_admission){.paid = out->paid, .max_cost = options->max_cost};
    out->only = pl_str_is(asked, "validate");
    out->report = out->only || pl_str_is(asked, "report");
    if (!out->report && options->max_cost == 0 && !options->admit)
        return true;
    *code = gql_prepared_cost(documents, prepared, operation, &plan, &err);
    if (*code == PL_OK) {
        pl_arena scratch;
        pl_arena_init(&scratch, 0);
        *code = gql_cost(plan, variables, variable_count, &scratch, &result);
        pl_arena_dispose(&scratch);
        if (*code)
            return refuse_memory(errors, code);
    } else if (!plan && !err.message[0]) {
        return refuse_memory(errors, code);
    } else {
        gql_diagnose(errors, NULL, source, operation->loc, (gql_loc){0}, "%s", err.message);
        return false;
    }
    out->known = true;
    out->cost = result.cost;
    return judge(options, work, operation, source, &result, errors, code, out);
}

void gql_admission_write(const gql_admission *admission, pl_buf *out)
{
    if (!admission->report || !admission->known)
        return;
    PL_BUF_LIT(out, "\"cost\":{\"requestedQueryCost\":");
    write_number(out, admission->cost);
    if (admission->max_cost > 0)
        pl_buf_printf(out, ",\"maximumQueryCost\":%llu", (unsigned long long)admission->max_cost);
    if (admission->budget.capacity > 0) {
        PL_BUF_LIT(out, ",\"throttleStatus\":{\"maximumAvailable\":");
        write_number(out, admission->budget.capacity);
        PL_BUF_LIT(out, ",\"currentlyAvailable\":");
        write_number(out, floor(admission->budget.left));
        PL_BUF_LIT(out, ",\"restoreRate\":");
        write_number(out, admission->budget.refill);
        pl_buf_char(out, '}');
    }
    pl_buf_char(out, '}');
}
