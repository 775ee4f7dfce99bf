/* The programs that the configuration asks for, such as FFmpeg, kept running: started again when they end, stopped
 * when they are no longer asked for, and nothing left of them afterwards. */
#define _POSIX_C_SOURCE 200809L
#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One that ends is started again after 3 s; twice that each time that it fails, up to a minute, until it has run for
 * a minute. */
#define WAIT_MS 3000
#define WAIT_MAX_MS 60000
/* How long one has to end when it is asked to; at the server's own end, which has 3 s in all, less. */
#define END_MS 3000
#define LAST_END_MS 2000
/* How long one that is killed is waited for: a disk or driver that hangs may hold it. */
#define KILL_MS 500
/* A log that is longer is begun anew with the next start. */
#define LOG_BYTES (1024 * 1024)

extern char **environ;

struct program {
    struct program *next;
    char *name, *log, **argv;
    pid_t pid;         /* 0 while it doesn't run */
    int wanted;        /* whether it is to be started again */
    enum { STAYS, ASKED_TO_END, KILLED } end;
    int without_log;   /* whether it has been said that its log can't be written */
    int64_t due;       /* when to start it or, where it is to end, to go further */
    int64_t started;
    int32_t wait;      /* before the next start, should it fail */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void free_words(char **words)
{
    size_t i;
    for (i = 0; words != NULL && words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

static char **copy_words(const char *const *words, int32_t count)
{
    char **copy = calloc((size_t)count + 1, sizeof *copy);
    int32_t i;
    for (i = 0; copy != NULL && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (copy[i] == NULL) {
            free_words(copy);
            return NULL;
        }
    }
    return copy;
}

static int same_words(char *const *a, const char *const *b)
{
    size_t i;
    for (i = 0; a[i] != NULL && b[i] != NULL; i++)
        if (strcmp(a[i], b[i]) != 0)
            return 0;
    return a[i] == NULL && b[i] == NULL;
}

static void free_program(struct program *program)
{
    free(program->name);
    free(program->log);
    free_words(program->argv);
    free(program);
}

/* Where its output goes: its log, or nowhere. */
static int open_output(struct program *program)
{
    struct stat found;
    int file;
    if (program->log[0] == '\0')
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    file = open(program->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
    if (file < 0) {
        if (!program->without_log)
            fprintf(stderr, "camrill-server: %s: its log %s can't be written and is left out: %s\n",
                    program->name, program->log, strerror(errno));
        program->without_log = 1;
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > LOG_BYTES && ftruncate(file, 0) < 0)
        fprintf(stderr, "camrill-server: %s: %s: %s\n", program->name, program->log, strerror(errno));
    return file;
}

/* In a process group of its own, so that a terminal's signals don't reach it and all that it starts ends with it; with
 * no signal ignored or blocked. The engine's sockets and files close themselves in it. */
static int spawn(struct program *program)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error, output = open_output(program);
    if (output < 0)
        return errno;
    sigfillset(&all);
    sigemptyset(&none);
    error = posix_spawn_file_actions_init(&files);
    if (error != 0)
        goto close_output;
    error = posix_spawnattr_init(&attributes);
    if (error != 0)
        goto destroy_files;
    if ((error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
        (error = posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO)) == 0 &&
        (error = posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO)) == 0 &&
        (error = posix_spawnattr_setpgroup(&attributes, 0)) == 0 &&
        (error = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
        (error = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
        (error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                           POSIX_SPAWN_SETSIGMASK)) == 0)
        error = posix_spawnp(&program->pid, program->argv[0], &files, &attributes, program->argv, environ);
    posix_spawnattr_destroy(&attributes);
destroy_files:
    posix_spawn_file_actions_destroy(&files);
close_output:
    close(output);
    return error;
}

/* Has it started again, later and later while it fails. Answers in how many seconds. */
static int again(struct program *program, int64_t now)
{
    int wait = program->wait;
    program->due = now + wait;
    program->wait = wait < WAIT_MAX_MS / 2 ? wait * 2 : WAIT_MAX_MS;
    return wait / 1000;
}

static void start(struct program *program, int64_t now)
{
    int error = spawn(program);
    if (error != 0) {
        program->pid = 0;
        fprintf(stderr, "camrill-server: %s: can't run %s: %s; trying again in %d s\n", program->name,
                program->argv[0], strerror(error), again(program, now));
        return;
    }
    program->started = now;
    program->end = STAYS;
    fprintf(stderr, "camrill-server: %s: runs as process %ld\n", program->name, (long)program->pid);
}

/* Looks whether it has ended. As long as it has not been waited for nobody else gets its number, so that what it has
 * started itself can be ended safely. */
static void look(struct program *program, int64_t now)
{
    char how[64];
    siginfo_t info;
    int status;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return;
    kill(-program->pid, SIGKILL);
    if (waitpid(program->pid, &status, WNOHANG) != program->pid)
        return;
    program->pid = 0;
    if (program->end != STAYS) {
        fprintf(stderr, "camrill-server: %s: stopped\n", program->name);
        program->due = now;
        program->wait = WAIT_MS;
        return;
    }
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with code %d", WEXITSTATUS(status));
    /* One that comes to its end, as with a file, has not failed. */
    if ((WIFEXITED(status) && WEXITSTATUS(status) == 0) || now - program->started >= WAIT_MAX_MS)
        program->wait = WAIT_MS;
    fprintf(stderr, "camrill-server: %s: %s; starting it again in %d s\n", program->name, how,
            again(program, now));
}

/* Asks it to end, and has it killed if it doesn't within so many ms. */
static void stop(struct program *program, int64_t within)
{
    int64_t due = now_ms() + within;
    if (program->pid == 0)
        return;
    if (program->end == STAYS || program->due > due)
        program->due = due;
    if (program->end == STAYS) {
        program->end = ASKED_TO_END;
        kill(-program->pid, SIGTERM);
    }
}

/* It has not ended in time: it is killed, and then waited for only where another is to take its place. */
static void go_further(struct program *program, int64_t now)
{
    if (program->end == ASKED_TO_END) {
        kill(-program->pid, SIGKILL);
        program->end = KILLED;
        program->due = now + KILL_MS;
    } else if (!program->wanted) {
        fprintf(stderr, "camrill-server: %s: process %ld does not end\n", program->name, (long)program->pid);
        program->pid = 0;
    } else {
        program->due = INT64_MAX;
    }
}

int32_t programs_turn(struct programs *programs, int ended)
{
    struct program **at = &programs->first, *program;
    int64_t now = now_ms(), next = INT64_MAX;
    while ((program = *at) != NULL) {
        if (program->pid != 0 && ended)
            look(program, now);
        if (program->pid != 0 && program->end != STAYS && program->due <= now)
            go_further(program, now);
        if (program->pid == 0 && !program->wanted) {
            *at = program->next;
            free_program(program);
            continue;
        }
        if (program->pid == 0 && program->due <= now)
            start(program, now);
        if ((program->pid == 0 || program->end != STAYS) && program->due < next)
            next = program->due;
        at = &program->next;
    }
    if (next == INT64_MAX)
        return -1;
    return next <= now ? 0 : (int32_t)(next - now);
}

/* The configuration asks for this one; false if there is no memory for it. */
static int want(struct programs *programs, const camrill_program_info_t *info)
{
    struct program *program = programs->first;
    char **argv, *log;
    while (program != NULL && strcmp(program->name, info->name) != 0)
        program = program->next;
    if (program != NULL && same_words(program->argv, info->argv) && strcmp(program->log, info->log) == 0) {
        program->wanted = 1;
        return 1;
    }
    argv = copy_words(info->argv, info->argc);
    log = strdup(info->log);
    if (argv == NULL || log == NULL)
        goto no_memory;
    if (program == NULL) {
        program = calloc(1, sizeof *program);
        if (program == NULL || (program->name = strdup(info->name)) == NULL)
            goto no_memory;
        program->next = programs->first;
        programs->first = program;
    } else {
        free_words(program->argv);
        free(program->log);
        /* The new one is started when the old one has ended: both would publish the same. */
        stop(program, END_MS);
    }
    program->argv = argv;
    program->log = log;
    program->wanted = 1;
    program->wait = WAIT_MS;
    if (program->pid == 0)
        program->due = now_ms();
    return 1;

no_memory:
    free_words(argv);
    free(log);
    if (program != NULL && program->name == NULL)
        free(program);
    return 0;
}

void programs_update(struct programs *programs, camrill_engine_t *engine)
{
    struct program *program;
    int32_t i, count = camrill_programs(engine);
    for (program = programs->first; program != NULL; program = program->next)
        program->wanted = 0;
    for (i = 0; i < count; i++) {
        camrill_program_info_t info;
        info.struct_size = sizeof info;
        if (camrill_program_info(engine, (size_t)i, &info) == 0 && !want(programs, &info))
            fprintf(stderr, "camrill-server: %s: out of memory\n", info.name);
    }
    for (program = programs->first; program != NULL; program = program->next)
        if (!program->wanted)
            stop(program, END_MS);
}

void programs_stop(struct programs *programs)
{
    struct program *program;
    for (program = programs->first; program != NULL; program = program->next) {
        program->wanted = 0;
        stop(program, LAST_END_MS);
    }
}
