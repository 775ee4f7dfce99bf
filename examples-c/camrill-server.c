/* camrill-server: a streaming server on the public header alone.
 *
 * camrill-server [-c FILE] [-e] [-t] [-v]
 *
 * SIGINT and SIGTERM stop it, SIGHUP reloads the configuration, SIGUSR1 writes it out. What the configuration needs
 * FFmpeg for runs beside it: programs.c. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <camrill.h>

#include "programs.h"

/* Without -c and -e. */
static const char DEFAULTS[] =
    "listen 1935;\n"
    "http_server { enabled on; listen 8080; }\n"
    "http_api { enabled on; listen 1985; }\n"
    "vhost __defaultVhost__ {\n"
    "    http_remux { enabled on; }\n"
    "    hls { enabled on; hls_fragment 2; hls_window 12; }\n"
    "}\n";

struct options {
    const char *file;
    int env;
    int test;
};

/* What signals ask for. The handler wakes the engine, so that its wait ends and these are looked at. */
static volatile sig_atomic_t wants_stop, wants_reload, wants_print, program_ended;
static camrill_engine_t *volatile running;

static void on_signal(int number)
{
    int saved = errno;
    if (number == SIGHUP)
        wants_reload = 1;
    else if (number == SIGUSR1)
        wants_print = 1;
    else if (number == SIGCHLD)
        program_ended = 1;
    else
        wants_stop = 1;
    if (running != NULL)
        camrill_engine_wake(running);
    errno = saved;
}

static void on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    static const char *const names[] = {"", "error", "warn", "info", "debug", "trace"};
    struct timespec now;
    struct tm local;
    char when[32] = "";
    (void)user;
    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &local) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(stderr, "[%s.%03ld] [%s] ", when, now.tv_nsec / 1000000,
            level >= CAMRILL_LOG_ERROR && level <= CAMRILL_LOG_TRACE ? names[level] : "");
    if (client != 0)
        fprintf(stderr, "[%u] ", (unsigned)client);
    fprintf(stderr, "%s\n", line);
}

/* Says what the last call on the engine failed of. */
static int complain(camrill_engine_t *engine, const char *what, int32_t error)
{
    char text[1024];
    camrill_engine_last_error(engine, text, sizeof text);
    fprintf(stderr, "camrill-server: %s: %s (%s)\n", what, text, camrill_strerror(error));
    return 1;
}

static int32_t load(camrill_engine_t *engine, const struct options *options)
{
    int32_t result = 0;
    if (options->file != NULL)
        result = camrill_config_load_file(engine, options->file);
    else if (!options->env)
        result = camrill_config_load_text(engine, "(defaults)", DEFAULTS);
    if (result >= 0 && options->env)
        result = camrill_config_load_env(engine);
    return result;
}

/* Writes the configuration as it stands beside the one it came from, replacing the last one whole. */
static void write_out(camrill_engine_t *engine, const struct options *options)
{
    const char *base = options->file != NULL ? options->file : "camrill.conf";
    int32_t size = camrill_config_print(engine, NULL, 0);
    size_t room = strlen(base) + sizeof ".running.tmp";
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    char *path = malloc(room), *temporary = malloc(room);
    FILE *file = NULL;
    if (text == NULL || path == NULL || temporary == NULL)
        goto out;
    snprintf(path, room, "%s.running", base);
    snprintf(temporary, room, "%s.running.tmp", base);
    if (camrill_config_print(engine, text, (size_t)size + 1) < 0)
        goto out;
    file = fopen(temporary, "w");
    if (file == NULL || fputs(text, file) < 0 || fflush(file) != 0 || rename(temporary, path) != 0)
        fprintf(stderr, "camrill-server: writing %s: %s\n", path, strerror(errno));
    else
        fprintf(stderr, "camrill-server: the configuration is written to %s\n", path);
out:
    if (file != NULL)
        fclose(file);
    free(temporary);
    free(path);
    free(text);
}

/* An engine may well serve no port, for a host that is its own only publisher; a server may not. */
static int listens(camrill_engine_t *engine)
{
    if (camrill_config_get(engine, "listen", NULL, 0) > 0)
        return 1;
    fprintf(stderr, "camrill-server: the configuration has no listen: expected, for example, \"listen 1935;\"\n");
    return 0;
}

static void reload(camrill_engine_t *engine, const struct options *options, struct programs *programs)
{
    int32_t result = load(engine, options);
    if (result >= 0 && !listens(engine)) {
        camrill_config_revert(engine);
        return;
    }
    if (result >= 0)
        result = camrill_config_apply(engine);
    if (result < 0) {
        complain(engine, "reload: going on as before", result);
        camrill_config_revert(engine);
    } else {
        fprintf(stderr, "camrill-server: reloaded\n");
        programs_update(programs, engine);
    }
}

/* Whether a program has ended since this was last asked. */
static int take_ended(void)
{
    int ended = program_ended;
    if (ended)
        program_ended = 0;
    return ended;
}

/* Serves until it is told to stop; answers the exit code. */
static int serve(camrill_engine_t *engine, const struct options *options)
{
    struct programs programs = {NULL};
    int32_t result = 0, due;
    running = engine;
    programs_update(&programs, engine);
    while (!wants_stop && result >= 0) {
        result = camrill_engine_poll(engine, programs_turn(&programs, take_ended()));
        if (wants_reload && result >= 0) {
            wants_reload = 0;
            reload(engine, options, &programs);
        }
        if (wants_print && result >= 0) {
            wants_print = 0;
            write_out(engine, options);
        }
    }
    if (result < 0)
        complain(engine, "the engine has failed", result);
    /* The engine goes on until they have ended, so that what they still publish is taken. */
    programs_stop(&programs);
    while (due = programs_turn(&programs, take_ended()), programs.first != NULL)
        if (camrill_engine_poll(engine, due) < 0)
            nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    running = NULL;
    return result < 0;
}

static int catch_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD};
    struct sigaction action;
    size_t i;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    for (i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (sigaction(wanted[i], &action, NULL) < 0)
            return -1;
    return 0;
}

static int usage(FILE *to)
{
    fputs("usage: camrill-server [-c FILE] [-e] [-t] [-v]\n"
          "  -c FILE  read the configuration from FILE (SRS's syntax)\n"
          "  -e       read the configuration from SRS_* environment variables\n"
          "  -t       check the configuration and exit\n"
          "  -v       print the version and exit\n"
          "With neither -c nor -e: RTMP on port 1935.\n"
          "SIGINT, SIGTERM: stop; SIGHUP: reload; SIGUSR1: write the configuration to FILE.running.\n",
          to);
    return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_engine_t *engine = NULL;
    struct options options = {NULL, 0, 0};
    int option, code;
    int32_t result;

    while ((option = getopt(argc, argv, "c:etvh")) != -1) {
        switch (option) {
        case 'c': options.file = optarg; break;
        case 'e': options.env = 1; break;
        case 't': options.test = 1; break;
        case 'v':
            printf("camrill %u.%u.%u\n", camrill_version() >> 16, camrill_version() >> 8 & 255,
                   camrill_version() & 255);
            return 0;
        case 'h': return usage(stdout);
        default: return usage(stderr);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "camrill-server: unexpected argument \"%s\"\n", argv[optind]);
        return usage(stderr);
    }
    if (!options.test && catch_signals() < 0) {
        perror("camrill-server: signals");
        return 1;
    }
    config.on_log = on_log;
    result = camrill_engine_new(&config, &engine);
    if (result < 0)
        return complain(NULL, "creating the engine", result);
    result = load(engine, &options);
    if (result >= 0 && !listens(engine)) {
        camrill_engine_free(engine);
        return 1;
    }
    if (result >= 0)
        result = options.test ? camrill_config_check(engine) : camrill_config_apply(engine);
    if (result < 0) {
        code = complain(engine, "configuration", result);
    } else if (options.test) {
        fprintf(stderr, "camrill-server: the configuration is right\n");
        code = 0;
    } else {
        code = serve(engine, &options);
    }
    camrill_engine_free(engine);
    return code;
}
