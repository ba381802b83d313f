/* SPDX-License-Identifier: MIT */
#include "app/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool read_file(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* proc(5): behind the name, which may have any characters, come state, …, and as numbers 19 and 20 from there
 * the start in ticks since boot and the virtual memory. */
static void read_stat(pl_process_stats *out)
{
    char text[1024];
    unsigned long long started = 0, virtual = 0;
    long long resident = 0;
    struct timespec real, boot;
    const char *at = read_file("/proc/self/stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!at || sscanf(at + 1,
                      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu "
                      "%llu %lld",
                      &started, &virtual, &resident) != 3)
        return;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double since_boot = (double)started / (double)sysconf(_SC_CLK_TCK);
    out->started_at =
        (double)(real.tv_sec - boot.tv_sec) + (double)(real.tv_nsec - boot.tv_nsec) * 1e-9 + since_boot;
    out->virtual = (double)virtual;
    out->resident = (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = 0;
    if (!dir)
        return NAN;
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* without the one that this has taken */
}

void pl_process_stats_read(pl_process_stats *out)
{
    struct timespec cpu;
    struct rlimit limit;
    *out = (pl_process_stats){NAN, NAN, NAN, NAN, NAN, NAN};
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        out->cpu = (double)cpu.tv_sec + (double)cpu.tv_nsec * 1e-9;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->max_fds = (double)limit.rlim_cur;
    out->open_fds = count_descriptors();
    read_stat(out);
}
