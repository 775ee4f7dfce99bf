/* Pulls a stream from one server and pushes it to another, as it is, for as long as both exist; a camera's file
 * will do for the first. Says what happens. Ctrl-C ends it.
 *
 * relay FROM TO     relay rtmp://camera.local/live/1 rtmp://me:secret@cloud.example/live/door?key=x */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>

#include <camrill.h>

static camrill_engine_t *engine;

static void on_signal(int number)
{
    (void)number;
    camrill_engine_stop(engine);
}

static void on_state(void *user, const camrill_relay_state_t *state)
{
    static const char *const names[] = {"", "idle", "connecting", "running", "waiting", "ended"};
    const char *what = state->direction == CAMRILL_RELAY_INGEST ? "from" : "to";
    (void)user;
    if (state->state < CAMRILL_RELAY_IDLE || state->state > CAMRILL_RELAY_ENDED)
        return; /* a newer library's */
    printf("%s %s: %s", what, state->url, names[state->state]);
    if (state->state == CAMRILL_RELAY_WAITING)
        printf(" %u ms", (unsigned)state->next_ms);
    printf("%s%s\n", state->reason[0] != 0 ? ": " : "", state->reason);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    camrill_ingest_config_t from = CAMRILL_INGEST_CONFIG_INIT;
    camrill_forward_config_t to = CAMRILL_FORWARD_CONFIG_INIT;
    camrill_ingest_t *ingest = NULL;
    camrill_forward_t *forward = NULL;
    camrill_relay_info_t info;
    struct sigaction action;
    char text[512];
    const char *input;

    if (argc != 3) {
        fprintf(stderr, "usage: relay FROM TO\n");
        return 2;
    }
    /* The stream has a name here too. Nobody can play it: the engine listens at no port. */
    input = argv[1];
    from.app = to.app = "live";
    from.name = to.name = "relay";
    from.inputs = &input;
    from.input_count = 1;
    from.flags = CAMRILL_INGEST_LOOP;
    to.url = argv[2];
    from.on_state = to.on_state = on_state;
    if (camrill_engine_new(NULL, &engine) < 0 || camrill_config_apply(engine) < 0 ||
        camrill_forward_new(engine, &to, &forward) < 0 || camrill_ingest_new(engine, &from, &ingest) < 0) {
        camrill_engine_last_error(engine, text, sizeof text);
        fprintf(stderr, "relay: %s\n", text);
        camrill_engine_free(engine);
        camrill_forward_free(forward);
        return 1;
    }
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    camrill_engine_run(engine);

    info.struct_size = sizeof info;
    if (camrill_forward_info(forward, &info) == 0)
        printf("%.1f KB sent, begun %u times\n", (double)info.bytes / 1e3, (unsigned)info.starts);
    /* The server is told that the stream is over: that goes out with the next poll. */
    camrill_ingest_free(ingest);
    camrill_forward_free(forward);
    camrill_engine_poll(engine, 100);
    camrill_engine_free(engine);
    return 0;
}
