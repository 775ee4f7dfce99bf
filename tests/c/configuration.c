/* The configuration from C: loading, setting, reading back, applying and reloading. */
#include "rtmp.h"

#include <sys/stat.h>

static char folder[] = "/tmp/camrill-c-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static void starts_with(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0) {
        fprintf(stderr, "\"%s\" doesn't start with \"%s\"\n", text, start);
        abort();
    }
}

static const char *get(camrill_engine_t *e, const char *path)
{
    static char value[256];
    CHECK(camrill_config_get(e, path, value, sizeof value) >= 0);
    return value;
}

static void files(void)
{
    struct host h;
    char start[300];

    host_make(&h, 0);
    EQ(camrill_config_load_file(h.engine, write_file("good.conf", "listen 127.0.0.1:0;\nchunk_size 5000;\n"
                                                                  "vhost a.example { play { gop_cache off; } }\n")), 0);
    EQ_TEXT(get(h.engine, "chunk_size"), "5000");
    EQ_TEXT(get(h.engine, "vhost/a.example/play/gop_cache"), "off");

    /* Whatever goes wrong from here on leaves this as it is. */
    EQ(camrill_config_load_file(h.engine, write_file("value.conf", "listen 1935;\n\nchunk_size many;\n")),
       CAMRILL_ECONFIG);
    snprintf(start, sizeof start, "%s:3: chunk_size", path_of("value.conf"));
    starts_with(why(h.engine), start);
    EQ(camrill_config_load_file(h.engine, write_file("brace.conf", "vhost a.example {\nplay {\n}\n")), CAMRILL_ECONFIG);
    snprintf(start, sizeof start, "%s:", path_of("brace.conf"));
    starts_with(why(h.engine), start);
    EQ(camrill_config_load_file(h.engine, write_file("unknown.conf", "listen 1935;\nlissten 1936;\n")),
       CAMRILL_ECONFIG);
    snprintf(start, sizeof start, "%s:2: unknown directive \"lissten\"", path_of("unknown.conf"));
    starts_with(why(h.engine), start);
    EQ(camrill_config_load_file(h.engine, path_of("missing.conf")), CAMRILL_ENOENT);
    CHECK(strstr(why(h.engine), "missing.conf") != NULL);
    EQ(camrill_config_load_file(h.engine, ""), CAMRILL_ENOENT);
    EQ(camrill_config_load_file(h.engine, folder), CAMRILL_EIO);
    EQ(camrill_config_load_file(h.engine, write_file("inner.conf", "chunk_size x;\n")), CAMRILL_ECONFIG);
    snprintf(start, sizeof start, "%s/inner.conf", folder);
    {
        char outer[400];
        snprintf(outer, sizeof outer, "listen 127.0.0.1:0;\ninclude %s;\n", start);
        EQ(camrill_config_load_file(h.engine, write_file("outer.conf", outer)), CAMRILL_ECONFIG);
        snprintf(start, sizeof start, "%s:1: chunk_size", path_of("inner.conf"));
        starts_with(why(h.engine), start);
    }
    EQ_TEXT(get(h.engine, "chunk_size"), "5000");

    EQ(camrill_config_load_text(h.engine, "(built in)", "chunk_size none;"), CAMRILL_ECONFIG);
    starts_with(why(h.engine), "(built in):1: chunk_size");
    EQ(camrill_config_load_text(h.engine, "(built in)", "include other.conf;"), CAMRILL_ECONFIG);
    EQ(camrill_config_load_text(h.engine, "(built in)", "chunk_size 6000;"), 0);
    EQ_TEXT(get(h.engine, "chunk_size"), "6000");

    /* What SRS has and this library hasn't is a warning, by way of on_log. */
    h.logs = 0;
    EQ(camrill_config_load_text(h.engine, "srs.conf", "listen 1935;\nrtc_server { enabled on; }\n"), 0);
    CHECK(h.logs > 0 && strstr(h.log, "srs.conf:2") != NULL);
    host_free(&h);
}

static void round_trips(void)
{
    static const struct { const char *path, *value; } settings[] = {
        {"listen", "127.0.0.1:0"},
        {"max_connections", "17"},
        {"vhost/cam.example.com/play/gop_cache", "off"},
        {"vhost/cam.example.com/play/queue_length", "7"},
        {"vhost/__defaultVhost__/tcp_nodelay", "off"},
    };
    struct host h, other;
    char text[4096], again[4096];
    size_t i;

    host_make(&h, 0);
    host_make(&other, 0);
    for (i = 0; i < COUNT(settings); i++) {
        EQ(camrill_config_set(h.engine, settings[i].path, settings[i].value), 0);
        EQ_TEXT(get(h.engine, settings[i].path), settings[i].value);
    }
    EQ(camrill_config_check(h.engine), 0);
    CHECK(camrill_config_print(h.engine, text, sizeof text) > 0);
    EQ(camrill_config_load_text(other.engine, "printed", text), 0);
    CHECK(camrill_config_print(other.engine, again, sizeof again) > 0);
    EQ_TEXT(again, text);
    for (i = 0; i < COUNT(settings); i++)
        EQ_TEXT(get(other.engine, settings[i].path), settings[i].value);

    EQ(camrill_config_apply(other.engine), 0);
    EQ(camrill_config_set(other.engine, "max_connections", "99"), 0);
    EQ(camrill_config_revert(other.engine), 0);
    EQ_TEXT(get(other.engine, "max_connections"), "17");

    EQ(camrill_config_set(h.engine, "listten", "1"), CAMRILL_ENOENT);
    EQ(camrill_config_set(h.engine, "", "1"), CAMRILL_ENOENT);
    EQ(camrill_config_set(h.engine, "vhost//play/gop_cache", "on"), CAMRILL_ENOENT);
    EQ(camrill_config_set(h.engine, "max_connections", "-1"), CAMRILL_ECONFIG);
    EQ(camrill_config_set(h.engine, "max_connections", "many"), CAMRILL_ECONFIG);
    EQ(camrill_config_set(h.engine, "vhost/cam.example.com/play/gop_cache", "maybe"), CAMRILL_ECONFIG);
    EQ(camrill_config_set(h.engine, "vhost/cam.example.com/play", "on"), CAMRILL_ECONFIG);
    EQ(camrill_config_get(h.engine, "listten", text, sizeof text), CAMRILL_ENOENT);
    EQ(camrill_config_get(h.engine, "vhost/none.example/play/gop_cache", text, sizeof text), CAMRILL_ENOENT);
    EQ_TEXT(get(h.engine, "max_connections"), "17");
    /* Nothing is served before it is applied. */
    EQ(camrill_engine_port(h.engine, "rtmp"), CAMRILL_ENOENT);
    host_free(&h);
    host_free(&other);
}

static void environment(void)
{
    struct host h;
    host_make(&h, 0);
    setenv("SRS_MAX_CONNECTIONS", "23", 1);
    setenv("SRS_VHOST_PLAY_GOP_CACHE", "off", 1);
    setenv("SRS_NO_SUCH_THING", "1", 1);
    EQ(camrill_config_set(h.engine, "max_connections", "5"), 0);
    EQ_TEXT(get(h.engine, "max_connections"), "5");
    EQ(camrill_config_load_env(h.engine), 0);
    EQ_TEXT(get(h.engine, "max_connections"), "23");
    EQ_TEXT(get(h.engine, "vhost/__defaultVhost__/play/gop_cache"), "off");
    CHECK(strstr(h.log, "SRS_NO_SUCH_THING") != NULL);
    /* It stands above what comes later, too. */
    EQ(camrill_config_set(h.engine, "max_connections", "6"), 0);
    EQ_TEXT(get(h.engine, "max_connections"), "23");
    setenv("SRS_MAX_CONNECTIONS", "none", 1);
    EQ(camrill_config_load_env(h.engine), CAMRILL_ECONFIG);
    starts_with(why(h.engine), "SRS_MAX_CONNECTIONS");
    EQ_TEXT(get(h.engine, "max_connections"), "23");
    unsetenv("SRS_MAX_CONNECTIONS");
    unsetenv("SRS_VHOST_PLAY_GOP_CACHE");
    unsetenv("SRS_NO_SUCH_THING");
    EQ(camrill_config_load_env(h.engine), 0);
    EQ_TEXT(get(h.engine, "max_connections"), "6");
    host_free(&h);
}

static void serves(struct host *h, int32_t port)
{
    struct rtmp *c = rtmp_open(port, "live", "", 0);
    UNTIL(h, c, c->state == RTMP_CREATING);
    rtmp_close(c, 0);
}

/* All of a configuration holds afterwards, or nothing has changed. */
static void all_or_nothing(void)
{
    struct host h, other;
    char value[128];
    int32_t port;

    host_make(&h, 0);
    EQ(camrill_config_set(h.engine, "listen", "999.0.0.1:1935"), CAMRILL_ECONFIG);
    EQ(camrill_config_set(h.engine, "listen", "70000"), CAMRILL_ECONFIG);
    EQ(camrill_config_set(h.engine, "listen", "192.0.2.1:0"), 0);
    EQ(camrill_config_check(h.engine), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_EADDRESS);
    starts_with(why(h.engine), "listen 192.0.2.1:0");
    host_free(&h);

    host_start(&h, 0);
    host_start(&other, 0);
    port = h.port;
    snprintf(value, sizeof value, "127.0.0.1:%d", (int)other.port);
    EQ(camrill_config_set(h.engine, "listen", value), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_EADDRESS);
    CHECK(strstr(why(h.engine), value) != NULL);
    EQ(camrill_engine_port(h.engine, "rtmp"), port);
    serves(&h, port);
    /* One that can be had beside one that can't: neither is. */
    snprintf(value, sizeof value, "127.0.0.2:0 127.0.0.1:%d", (int)other.port);
    EQ(camrill_config_set(h.engine, "listen", value), 0);
    EQ(camrill_config_apply(h.engine), CAMRILL_EADDRESS);
    EQ(camrill_engine_port(h.engine, "rtmp"), port);
    serves(&h, port);
    /* A reload that changes the port closes the old one and leaves connections alone. */
    {
        struct rtmp *c = rtmp_open(port, "live", "a", 0);
        UNTIL(&h, c, c->state == RTMP_GOING);
        EQ(camrill_config_set(h.engine, "listen", "127.0.0.2:0"), 0);
        EQ(camrill_config_apply(h.engine), 0);
        CHECK(camrill_engine_port(h.engine, "rtmp") > 0);
        EQ(h.counts[CAMRILL_EVENT_STOP], 0);
        EQ(camrill_client_kick(h.engine, h.last[CAMRILL_EVENT_PLAY].client), 0);
        UNTIL(&h, c, c->state == RTMP_CLOSED);
        rtmp_close(c, 0);
    }
    host_free(&h);
    host_free(&other);
}

/* No listen at all: a host that only publishes to itself. */
static void nothing_to_listen_at(void)
{
    struct host h;
    host_make(&h, 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camrill_engine_port(h.engine, "rtmp"), CAMRILL_ENOENT);
    EQ(camrill_engine_poll(h.engine, 0), 0);
    host_free(&h);
}

static void has_words(const camrill_program_info_t *program, const char *const *words)
{
    int32_t i;
    for (i = 0; words[i] != NULL; i++)
        EQ_TEXT(program->argv[i], words[i]);
    EQ(program->argc, i);
    CHECK(program->argv[i] == NULL);
}

/* What the host is to run beside the engine. */
static void programs(void)
{
    static const char text[] =
        "listen 127.0.0.1:0; ff_log_dir /var/log;\n"
        "vhost a.example {\n"
        "    ingest gate { enabled on; input { type stream; url rtsp://u:p@10.0.0.9/1; } ffmpeg /bin/ffmpeg; }\n"
        "    ingest clip { enabled on; input { url a.flv; } }\n"
        "    ingest off { input { url a.mkv; } ffmpeg ffmpeg; }\n"
        "}\n"
        "vhost b.example {\n"
        "    ingest gate { enabled on; input { url a.mkv; } ffmpeg ffmpeg;\n"
        "        engine { output rtmp://10.0.0.1/a/b/c; } }\n"
        "}\n";
    camrill_program_info_t program;
    struct { uint32_t struct_size; int32_t argc; char rest[8]; } shorter;
    char output[128];
    const char *first[] = {"/bin/ffmpeg", "-loglevel", "info", "-nostats", "-i", "rtsp://u:p@10.0.0.9/1", "-vcodec",
                           "copy", "-acodec", "copy", "-f", "flv", "-y", output, NULL};
    static const char *const second[] = {"ffmpeg", "-loglevel", "info", "-nostats", "-re", "-i", "a.mkv", "-vcodec",
                                         "copy", "-acodec", "copy", "-f", "flv", "-y", "rtmp://10.0.0.1/a/b/c", NULL};
    struct host h;

    host_make(&h, 0);
    program.struct_size = sizeof program;
    EQ(camrill_config_load_text(h.engine, "t", text), 0);
    /* What is loaded holds from apply on. */
    EQ(camrill_programs(h.engine), 0);
    EQ(camrill_config_apply(h.engine), 0);
    EQ(camrill_program_info(h.engine, 0, &program), CAMRILL_ENOENT);
    EQ(camrill_programs(h.engine), 2);
    EQ(camrill_program_info(h.engine, 0, &program), 0);
    EQ_TEXT(program.name, "vhost/a.example/ingest/gate");
    EQ_TEXT(program.log, "/var/log/ffmpeg-ingest-a.example-live-gate.log");
    /* The port is the one that 0 has become. */
    snprintf(output, sizeof output, "rtmp://127.0.0.1:%d/live/gate?vhost=a.example",
             (int)camrill_engine_port(h.engine, "rtmp"));
    has_words(&program, first);
    EQ(camrill_program_info(h.engine, 1, &program), 0);
    EQ_TEXT(program.name, "vhost/b.example/ingest/gate");
    EQ_TEXT(program.log, "/var/log/ffmpeg-ingest-b.example-a-b-c.log");
    has_words(&program, second);
    EQ(camrill_program_info(h.engine, 2, &program), CAMRILL_ENOENT);
    EQ_TEXT(why(h.engine), "no program 2: there are 2");
    EQ(camrill_program_info(h.engine, 1, NULL), CAMRILL_EINVAL);

    /* As much as an older program knows. */
    memset(&shorter, 'x', sizeof shorter);
    shorter.struct_size = 8;
    EQ(camrill_program_info(h.engine, 1, (camrill_program_info_t *)(void *)&shorter), 0);
    EQ(shorter.argc, 15);
    CHECK(memcmp(shorter.rest, "xxxxxxxx", 8) == 0);

    EQ(camrill_config_set(h.engine, "ff_log_dir", "/dev/null"), 0);
    EQ(camrill_config_set(h.engine, "vhost/a.example/ingest/gate/enabled", "off"), 0);
    EQ(camrill_config_apply(h.engine), 0);
    /* What was found stays until it is looked for again. */
    EQ_TEXT(program.name, "vhost/b.example/ingest/gate");
    EQ(camrill_programs(h.engine), 1);
    EQ(camrill_program_info(h.engine, 0, &program), 0);
    EQ_TEXT(program.name, "vhost/b.example/ingest/gate");
    EQ_TEXT(program.log, "");
    host_free(&h);
}

int main(void)
{
    char command[64];
    CHECK(mkdtemp(folder) != NULL);
    RUN(files);
    RUN(round_trips);
    RUN(environment);
    RUN(all_or_nothing);
    RUN(nothing_to_listen_at);
    RUN(programs);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}
