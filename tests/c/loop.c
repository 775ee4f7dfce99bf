/* Turning the loop: poll, run, stop, wake, calls from other threads, wrong threads, two engines. */
#include "rtmp.h"

static void *run(void *user)
{
    struct host *h = user;
    EQ(camrill_engine_run(h->engine), 0);
    return NULL;
}

static void stop_counts_before_run(void)
{
    struct host h;
    int64_t began = now_ms();
    host_start(&h, 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(camrill_engine_run(h.engine), 0);
    /* Both were before it: poll doesn't wait for one, either. */
    EQ(camrill_engine_poll(h.engine, 50), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(camrill_engine_poll(h.engine, -1), 0);
    EQ(camrill_engine_wake(h.engine), 0);
    EQ(camrill_engine_poll(h.engine, -1), 0);
    CHECK(now_ms() - began < 20000);
    began = now_ms();
    EQ(camrill_engine_poll(h.engine, 30), 0);
    CHECK(now_ms() - began >= 29);
    EQ(camrill_engine_wake(h.engine), 0);
    EQ(camrill_engine_poll(h.engine, INT32_MIN), 0);
    host_free(&h);
}

static void stop_from_another_thread(void)
{
    struct host h;
    pthread_t thread;
    int i;
    host_start(&h, 0);
    for (i = 0; i < 3; i++) {
        EQ(pthread_create(&thread, NULL, run, &h), 0);
        if (i > 0)
            usleep(20000);
        EQ(camrill_engine_wake(h.engine), 0);
        EQ(camrill_engine_stop(h.engine), 0);
        EQ(pthread_join(thread, NULL), 0);
    }
    host_free(&h);
}

struct order {
    struct host *h;
    pthread_t thread, loop;
    int next, posted, refused;
    struct ticket { struct order *order; int number; } tickets[3000];
};

static void called(void *user)
{
    struct ticket *t = user;
    EQ(t->number, t->order->next);
    t->order->next++;
    t->order->loop = pthread_self();
}

static void *post(void *user)
{
    struct order *o = user;
    for (o->posted = 0; o->posted < (int)COUNT(o->tickets); o->posted++) {
        struct ticket *t = &o->tickets[o->posted];
        int32_t result;
        t->order = o;
        t->number = o->posted;
        while ((result = camrill_engine_call(o->h->engine, called, t)) == CAMRILL_EAGAIN) {
            o->refused++;
            usleep(100);
        }
        EQ(result, 0);
    }
    return NULL;
}

static void calls_from_four_threads(void)
{
    static struct order orders[4];
    struct host h;
    pthread_t loop;
    int i;
    host_start(&h, 0);
    memset(orders, 0, sizeof orders);
    EQ(pthread_create(&loop, NULL, run, &h), 0);
    for (i = 0; i < 4; i++) {
        orders[i].h = &h;
        EQ(pthread_create(&orders[i].thread, NULL, post, &orders[i]), 0);
    }
    for (i = 0; i < 4; i++)
        EQ(pthread_join(orders[i].thread, NULL), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(pthread_join(loop, NULL), 0);
    EQ(camrill_engine_poll(h.engine, 0) >= 0, 1);
    for (i = 0; i < 4; i++) {
        EQ(orders[i].next, COUNT(orders[i].tickets));
        CHECK(pthread_equal(orders[i].loop, loop) || pthread_equal(orders[i].loop, pthread_self()));
    }
    host_free(&h);
}

static int calls;

static void count_call(void *user)
{
    (void)user;
    calls++;
}

static void calls_have_a_bound(void)
{
    struct host h;
    int i;
    host_start(&h, 0);
    calls = 0;
    for (i = 0; i < 1024; i++)
        EQ(camrill_engine_call(h.engine, count_call, NULL), 0);
    EQ(camrill_engine_call(h.engine, count_call, NULL), CAMRILL_EAGAIN);
    EQ(calls, 0);
    EQ(camrill_engine_poll(h.engine, -1), 1024);
    EQ(calls, 1024);
    EQ(camrill_engine_call(h.engine, count_call, NULL), 0);
    /* What hasn't run when the engine is freed never runs. */
    host_free(&h);
    EQ(calls, 1024);
}

struct nested {
    struct host *h;
    int depth;
};

static void call_again(void *user)
{
    struct nested *n = user;
    EQ(camrill_engine_poll(n->h->engine, 0), CAMRILL_EREENTRANT);
    EQ(camrill_engine_run(n->h->engine), CAMRILL_EREENTRANT);
    if (++n->depth < 5)
        EQ(camrill_engine_call(n->h->engine, call_again, n), 0);
    else
        EQ(camrill_engine_stop(n->h->engine), 0);
    /* A refused poll is none: it takes no stop with it. */
    EQ(camrill_engine_poll(n->h->engine, -1), CAMRILL_EREENTRANT);
}

static void calls_from_calls(void)
{
    struct host h;
    struct nested n = {&h, 0};
    host_start(&h, 0);
    EQ(camrill_engine_call(h.engine, call_again, &n), 0);
    EQ(camrill_engine_run(h.engine), 0);
    EQ(n.depth, 5);
    host_free(&h);
}

static void poll_in_log(struct host *h, int32_t level, camrill_id_t client, const char *line)
{
    (void)level, (void)client, (void)line;
    EQ(camrill_engine_poll(h->engine, 0), CAMRILL_EREENTRANT);
    EQ(camrill_engine_run(h->engine), CAMRILL_EREENTRANT);
    CHECK(camrill_engine_fd(h->engine) >= 0);
}

static void stop_now(void *user)
{
    EQ(camrill_engine_stop(((struct host *)user)->engine), 0);
}

/* A stop ends one poll's wait, and then no run. */
static void a_poll_uses_a_stop_up(void)
{
    struct host h;
    host_start(&h, 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(camrill_engine_poll(h.engine, -1), 0);
    calls = 0;
    EQ(camrill_engine_call(h.engine, count_call, NULL), 0);
    EQ(camrill_engine_call(h.engine, stop_now, &h), 0);
    EQ(camrill_engine_run(h.engine), 0);
    EQ(calls, 1);
    host_free(&h);
}

static void log_lines_run_inside_any_call(void)
{
    struct host h;
    host_make(&h, 0);
    h.on_log = poll_in_log;
    EQ(camrill_config_set(h.engine, "listen", "127.0.0.1:0"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    CHECK(h.logs > 0 && strstr(h.log, "listening on 127.0.0.1:") != NULL);
    EQ(camrill_engine_poll(h.engine, 0), 0);
    h.on_log = NULL;
    h.logs = 0;
    host_free(&h);
    CHECK(h.logs > 0);
}

static void log_levels(void)
{
    static const int32_t levels[] = {CAMRILL_LOG_ERROR, CAMRILL_LOG_WARN, CAMRILL_LOG_INFO, CAMRILL_LOG_DEBUG,
                                     CAMRILL_LOG_TRACE};
    int last = -1;
    size_t i;
    for (i = 0; i < COUNT(levels); i++) {
        camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
        static struct host h;
        memset(&h, 0, sizeof h);
        config.log_level = levels[i];
        config.user = &h;
        config.on_log = host_on_log;
        EQ(camrill_engine_new(&config, &h.engine), 0);
        EQ(camrill_config_load_text(h.engine, "x", "listen 127.0.0.1:0; rtc_server { enabled on; }"), 0);
        EQ(camrill_config_apply(h.engine), 0);
        camrill_engine_free(h.engine);
        CHECK(h.logs >= last);
        last = h.logs;
        if (levels[i] == CAMRILL_LOG_ERROR)
            EQ(h.logs, 0);
        if (levels[i] == CAMRILL_LOG_WARN)
            EQ(h.logs, 1);
    }
}

/* What happens between turns is due at once, not when a socket stirs. */
static void events_do_not_wait(void)
{
    struct host h;
    struct camera c;
    struct pollfd p;
    host_start(&h, 0);
    EQ(camrill_engine_poll(h.engine, 0), 0);
    EQ(camrill_engine_timeout_ms(h.engine), INT32_MAX);
    p.fd = camrill_engine_fd(h.engine);
    p.events = POLLIN;
    EQ(poll(&p, 1, 0), 0);
    EQ(camera_new(&c, &h, "a"), 0);
    EQ(h.events, 0);
    EQ(camrill_engine_timeout_ms(h.engine), 0);
    EQ(camrill_engine_poll(h.engine, -1), 1);
    EQ(h.counts[CAMRILL_EVENT_PUBLISHED], 1);
    EQ(camrill_engine_timeout_ms(h.engine), INT32_MAX);
    EQ(camera_video(&c, 1, 10, 0), 0);
    EQ(poll(&p, 1, 1000), 1);
    EQ(p.fd, camrill_engine_fd(h.engine));
    EQ(camrill_engine_poll(h.engine, 0), 0);
    camrill_publisher_free(c.publisher);
    EQ(poll(&p, 1, 1000), 1);
    CHECK(camrill_engine_poll(h.engine, 0) > 0);
    EQ(c.freed, 1);
    EQ(poll(&p, 1, 0), 0);
    host_free(&h);
}

static void *intrude(void *user)
{
    struct host *h = user;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;
    camrill_publisher_config_t publishing = CAMRILL_PUBLISHER_CONFIG_INIT;
    camrill_publisher_t *p = NULL;
    camrill_stats_t stats;
    camrill_stream_info_t info;
    camrill_client_info_t client;
    camrill_id_t ids[2];
    char text[64];
    int i;
    (void)config;
    stats.struct_size = sizeof stats;
    info.struct_size = sizeof info;
    client.struct_size = sizeof client;
    publishing.tracks.video_codec = CAMRILL_CODEC_H264;
    publishing.app = "live";
    publishing.name = "intruder";
    for (i = 0; i < 200; i++) {
        EQ(camrill_engine_poll(h->engine, 0), CAMRILL_ESTATE);
        EQ(camrill_engine_run(h->engine), CAMRILL_ESTATE);
        EQ(camrill_engine_fd(h->engine), CAMRILL_ESTATE);
        EQ(camrill_engine_timeout_ms(h->engine), CAMRILL_ESTATE);
        EQ(camrill_stats(h->engine, &stats), CAMRILL_ESTATE);
        EQ(camrill_streams(h->engine, ids, 2), CAMRILL_ESTATE);
        EQ(camrill_clients(h->engine, ids, 2), CAMRILL_ESTATE);
        EQ(camrill_stream_info(h->engine, 1, &info), CAMRILL_ESTATE);
        EQ(camrill_client_info(h->engine, 1, &client), CAMRILL_ESTATE);
        EQ(camrill_client_kick(h->engine, 1), CAMRILL_ESTATE);
        EQ(camrill_auth_reply(h->engine, 1, CAMRILL_ALLOW, NULL), CAMRILL_ESTATE);
        EQ(camrill_engine_port(h->engine, "rtmp"), CAMRILL_ESTATE);
        EQ(camrill_config_set(h->engine, "listen", "1"), CAMRILL_ESTATE);
        EQ(camrill_config_get(h->engine, "listen", text, sizeof text), CAMRILL_ESTATE);
        EQ(camrill_config_print(h->engine, text, sizeof text), CAMRILL_ESTATE);
        EQ(camrill_config_load_text(h->engine, "x", ""), CAMRILL_ESTATE);
        EQ(camrill_config_load_file(h->engine, "x"), CAMRILL_ESTATE);
        EQ(camrill_config_load_env(h->engine), CAMRILL_ESTATE);
        EQ(camrill_config_check(h->engine), CAMRILL_ESTATE);
        EQ(camrill_config_apply(h->engine), CAMRILL_ESTATE);
        EQ(camrill_publisher_new(h->engine, &publishing, &p), CAMRILL_ESTATE);
        CHECK(p == NULL);
        /* Those for any thread go on working, and the loop goes on turning. */
        EQ(camrill_engine_wake(h->engine), 0);
        EQ(camrill_engine_call(h->engine, count_call, NULL) <= 0, 1);
    }
    CHECK(strstr(why(h->engine), "another thread is in this engine") != NULL);
    return NULL;
}

static int32_t started;

static void say_started(void *user)
{
    (void)user;
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
}

static void the_wrong_thread_is_told_so(void)
{
    struct host h;
    pthread_t loop, others[2];
    int i;
    host_start(&h, 0);
    EQ(camrill_engine_call(h.engine, say_started, NULL), 0);
    EQ(pthread_create(&loop, NULL, run, &h), 0);
    while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
        usleep(1000);
    calls = 0;
    for (i = 0; i < 2; i++)
        EQ(pthread_create(&others[i], NULL, intrude, &h), 0);
    for (i = 0; i < 2; i++)
        EQ(pthread_join(others[i], NULL), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(pthread_join(loop, NULL), 0);
    EQ(camrill_engine_poll(h.engine, 0) >= 0, 1);
    CHECK(calls > 0);
    host_free(&h);
}

/* An engine, its camera and its player, all on one thread. */
static void *traffic(void *user)
{
    static const char *const names[] = {"one", "two"};
    static struct host hosts[2];
    struct host *h = &hosts[*(int *)user];
    struct camera c;
    struct rtmp *player;
    uint8_t mark = (uint8_t)(*(int *)user + 1);
    int i, j;
    host_start(h, 0);
    EQ(camera_new(&c, h, names[mark - 1]), 0);
    player = rtmp_open(h->port, "live", names[mark - 1], 0);
    UNTIL(h, player, player->state == RTMP_GOING);
    for (i = 0; i < 100; i++) {
        EQ(camera_video(&c, i % 25 == 0, 500, mark), 0);
        UNTIL(h, player, player->video == i + 1);
    }
    for (i = 0, j = 0; i < player->count; i++)
        if (player->media[i].type == 9 && player->media[i].head[1] == 1) {
            EQ(player->media[i].size, 509);
            EQ(player->media[i].head[0], j % 25 == 0 ? 0x17 : 0x27);
            EQ(player->media[i].head[10], mark | 0x80);
            EQ(player->media[i].time, 40 * j);
            j++;
        }
    EQ(j, 100);
    camrill_publisher_free(c.publisher);
    UNTIL(h, player, c.freed == 1);
    rtmp_close(player, 0);
    host_free(h);
    return NULL;
}

static void two_engines_on_two_threads(void)
{
    pthread_t threads[2];
    int numbers[2] = {0, 1}, i;
    for (i = 0; i < 2; i++)
        EQ(pthread_create(&threads[i], NULL, traffic, &numbers[i]), 0);
    for (i = 0; i < 2; i++)
        EQ(pthread_join(threads[i], NULL), 0);
}

static pthread_key_t key;

static void at_thread_end(void *user)
{
    struct host *h = user;
    struct host late;
    CHECK(camrill_engine_poll(h->engine, 0) >= 0);
    EQ(camrill_engine_poll(NULL, 0), CAMRILL_EINVAL);
    host_free(h);
    host_start(&late, 0);
    host_free(&late);
}

static void *end_with(void *user)
{
    struct host *h = user;
    host_start(h, 0);
    CHECK(camrill_engine_poll(NULL, 0) == CAMRILL_EINVAL);
    EQ(pthread_setspecific(key, h), 0);
    return NULL;
}

/* A thread that is ending has lost what the library keeps per thread: it does without. */
static void freed_by_a_thread_that_ends(void)
{
    struct host h;
    pthread_t thread;
    EQ(pthread_key_create(&key, at_thread_end), 0);
    EQ(pthread_create(&thread, NULL, end_with, &h), 0);
    EQ(pthread_join(thread, NULL), 0);
    EQ(h.freed, 1);
    EQ(pthread_key_delete(key), 0);
}

/* Made here, run there, freed here: one thread at a time is all that is asked for. */
static void handed_from_thread_to_thread(void)
{
    struct host h;
    pthread_t thread;
    host_start(&h, 0);
    EQ(camrill_engine_poll(h.engine, 0), 0);
    EQ(camrill_engine_stop(h.engine), 0);
    EQ(pthread_create(&thread, NULL, run, &h), 0);
    EQ(pthread_join(thread, NULL), 0);
    EQ(camrill_engine_poll(h.engine, 0), 0);
    host_free(&h);
}

int main(void)
{
    RUN(stop_counts_before_run);
    RUN(stop_from_another_thread);
    RUN(calls_from_four_threads);
    RUN(calls_have_a_bound);
    RUN(calls_from_calls);
    RUN(a_poll_uses_a_stop_up);
    RUN(log_lines_run_inside_any_call);
    RUN(log_levels);
    RUN(events_do_not_wait);
    RUN(the_wrong_thread_is_told_so);
    RUN(two_engines_on_two_threads);
    RUN(freed_by_a_thread_that_ends);
    RUN(handed_from_thread_to_thread);
    return 0;
}
