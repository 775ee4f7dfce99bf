/* Records a camera when something happens: each SIGUSR1 begins a file with the five seconds before it, which
 * ends some seconds after the last one. A looping FLV file stands for the camera.
 *
 * record-on-trigger CLIP.flv FILE.mp4 [SECONDS]     the name may have [seq], [2006]-[01]-[02] and so on */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <camrill.h>

static camrill_engine_t *engine;
static volatile sig_atomic_t triggers, ends;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        triggers++;
    else
        ends = 1;
    camrill_engine_wake(engine);
}

static void on_file(void *user, const camrill_recorder_file_t *file)
{
    (void)user;
    if (file->what == CAMRILL_RECORDER_OPENED)
        printf("recording %s\n", file->path);
    else if (file->what == CAMRILL_RECORDER_CLOSED)
        printf("recorded %s: %.1f s, %.0f KB\n", file->path, (double)file->duration_us / 1e6, (double)file->bytes / 1e3);
    else
        printf("%s: %s\n", file->path, file->what == CAMRILL_RECORDER_FAILED ? file->reason : "the disk is too slow");
    fflush(stdout);
}

static void on_event(void *user, const camrill_event_t *event)
{
    (void)user;
    if (event->type == CAMRILL_EVENT_PUBLISHED) {
        printf("%s/%s is live: kill -USR1 to record\n", event->app, event->name);
        fflush(stdout);
    }
}

static void ended(void *user)
{
    *(int *)user = 1;
}

int main(int argc, char **argv)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_recorder_config_t recording = CAMRILL_RECORDER_CONFIG_INIT;
    camrill_recorder_t *recorder = NULL;
    struct sigaction action;
    char text[512];
    time_t until = 0;
    int taken = 0, written = 0, after = argc > 3 ? atoi(argv[3]) : 10;

    config.on_event = on_event;
    recording.app = "live";
    recording.name = "camera";
    recording.path = argc > 2 ? argv[2] : NULL;
    recording.preroll_ms = 5000;
    recording.flags = CAMRILL_RECORDER_ON_DEMAND;
    recording.on_file = on_file;
    recording.user = &written;
    recording.user_free = ended;
    if (argc < 3) {
        fprintf(stderr, "usage: record-on-trigger CLIP.flv FILE.mp4 [SECONDS]\n");
        return 2;
    }
#define CAMERA "vhost/__defaultVhost__/ingest/camera/"
    if (camrill_engine_new(&config, &engine) < 0 || camrill_recorder_new(engine, &recording, &recorder) < 0 ||
        camrill_config_set(engine, CAMERA "enabled", "on") < 0 ||
        camrill_config_set(engine, CAMERA "input/type", "file") < 0 ||
        camrill_config_set(engine, CAMERA "input/url", argv[1]) < 0 ||
        camrill_config_apply(engine) < 0) {
        camrill_engine_last_error(engine, text, sizeof text);
        fprintf(stderr, "record-on-trigger: %s\n", text);
        camrill_engine_free(engine);
        camrill_recorder_free(recorder);
        return 1;
    }
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (!ends && camrill_engine_poll(engine, 500) >= 0) {
        if (taken != triggers) {
            taken = triggers;
            until = time(NULL) + after;
            camrill_recorder_start(recorder);
        } else if (until != 0 && time(NULL) >= until) {
            until = 0;
            camrill_recorder_stop(recorder);
        }
    }
    /* What is being recorded is written to its end. */
    camrill_recorder_free(recorder);
    while (!written && camrill_engine_poll(engine, -1) >= 0) {
    }
    camrill_engine_free(engine);
    return 0;
}
