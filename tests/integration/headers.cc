// SPDX-License-Identifier: MIT
// A C++ program with every public header: builds an app with a function in C++, and asks it.
#include <perilune.h>
#include <perilune/code.h>
#include <perilune/h2o.h>
#include <perilune/native.h>
#include <perilune/proto.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace {

// Exceptions end here: none may leave a function that Perilune calls.
pl_native_status greeting(pl_native_call *call, void *data) noexcept
{
    try {
        const char *name =
            pl_native_string(call, pl_native_field(call, pl_native_argument(call, 1), "name"), nullptr);
        if (!*name)
            throw std::invalid_argument("no name");
        std::string text = *static_cast<std::string *>(data) + ", " + name;
        pl_native_put_string(call, text.data(), text.size());
        return PL_NATIVE_DONE;
    } catch (const std::exception &e) {
        return pl_native_fail(call, PL_INVALID_ARGUMENT, e.what());
    }
}

void print(pl_app *app, const std::string &request)
{
    char *response = nullptr;
    size_t length = 0;
    pl_code code = pl_app_execute(app, request.data(), request.size(), &response, &length);
    std::printf("%s %.*s\n", pl_code_name(code), static_cast<int>(length), response);
    pl_free_text(response);
}

} // namespace

int main()
{
    const std::string schema = "type Query { greeting(name: String!): String }";
    const pl_app_file files[] = {{"schema/s.graphql", schema.data(), schema.size()}};
    std::string hello = "Hello";
    char error[1000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = 1;
    std::unique_ptr<pl_app, void (*)(pl_app *)> app(pl_app_new(&options, error, sizeof error), pl_app_free);
    if (!app || pl_app_resolver(app.get(), "Query", "greeting", greeting, &hello) ||
        pl_app_start(app.get(), error, sizeof error)) {
        std::fprintf(stderr, "%s", error);
        return 1;
    }
    print(app.get(), R"({"query":"{ greeting(name: \"you\") }"})");
    print(app.get(), R"({"query":"{ greeting(name: \"\") }"})");
    pl_app_request request = PL_APP_REQUEST_INIT;
    pl_cancellation *by = pl_cancellation_new();
    request.cancellation = by;
    pl_cancellation_cancel(by);
    std::printf("%s\n", pl_code_name(pl_app_ask(app.get(), &request, nullptr, nullptr)));
    pl_cancellation_free(by);
    std::printf("%d\n", pl_h2o_mount(app.get(), nullptr, "no path", nullptr, 0) == PL_INVALID_ARGUMENT);
    std::printf("%d\n", pl_proto_pool_new("\1", 1, nullptr, 0) == nullptr);
    return 0;
}
