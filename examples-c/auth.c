/* Who may come: publishers need a key, at once; players a ticket, which somebody else has to be asked about.
 *
 * auth [PORT]    rtmp://127.0.0.1:PORT/live/camera?key=secret publishes, …?ticket=gold plays
 *
 * A thread stands for the database or the web service that takes its time. Nobody else waits for it. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <camrill.h>

struct question {
    camrill_engine_t *engine;
    camrill_id_t ticket;
    char param[256];
    int may;
};

/* On the loop's thread again: its answer, if the client is still there. */
static void answer(void *user)
{
    struct question *question = user;
    int32_t verdict = question->may ? CAMRILL_ALLOW : CAMRILL_DENY;
    camrill_auth_reply(question->engine, question->ticket, verdict, "No such ticket.");
    free(question);
}

static void *look_up(void *user)
{
    struct question *question = user;
    struct timespec a_while = {0, 200000000};
    nanosleep(&a_while, NULL);
    question->may = strstr(question->param, "ticket=gold") != NULL;
    while (camrill_engine_call(question->engine, answer, question) == CAMRILL_EAGAIN)
        nanosleep(&a_while, NULL);
    return NULL;
}

static int32_t on_admission(void *user, const camrill_admission_t *request)
{
    struct question *question;
    pthread_t thread;
    if (request->action == CAMRILL_ACTION_CONNECT)
        return CAMRILL_ALLOW;
    if (request->action == CAMRILL_ACTION_PUBLISH) {
        camrill_engine_t *engine = *(camrill_engine_t **)user;
        if (strstr(request->param, "key=secret") == NULL)
            camrill_auth_reply(engine, request->ticket, CAMRILL_DENY, "The key is wrong.");
        return CAMRILL_ALLOW; /* of no effect where it is answered */
    }
    question = calloc(1, sizeof *question);
    if (question == NULL)
        return CAMRILL_DENY;
    question->engine = *(camrill_engine_t **)user;
    question->ticket = request->ticket;
    snprintf(question->param, sizeof question->param, "%s", request->param);
    if (pthread_create(&thread, NULL, look_up, question) != 0) {
        free(question);
        return CAMRILL_DENY;
    }
    pthread_detach(thread);
    return CAMRILL_PENDING;
}

int main(int argc, char **argv)
{
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_engine_t *engine = NULL;
    char why[512];
    config.user = &engine;
    config.on_admission = on_admission;
    if (camrill_engine_new(&config, &engine) < 0 ||
        camrill_config_set(engine, "listen", argc > 1 ? argv[1] : "1935") < 0 ||
        camrill_config_apply(engine) < 0) {
        camrill_engine_last_error(engine, why, sizeof why);
        fprintf(stderr, "auth: %s\n", why);
        camrill_engine_free(engine);
        return 1;
    }
    printf("rtmp://127.0.0.1:%d/live\n", (int)camrill_engine_port(engine, "rtmp"));
    fflush(stdout);
    camrill_engine_run(engine);
    camrill_engine_free(engine);
    return 0;
}
