/* The smallest server: RTMP on the port given (1935), until it is killed. */
#include <stdio.h>
#include <camrill.h>

static void on_log(void *user, int32_t level, camrill_id_t client, const char *line)
{
    (void)user, (void)level;
    fprintf(stderr, "[%u] %s\n", (unsigned)client, line);
}

static int fail(camrill_engine_t *engine)
{
    char text[512];
    camrill_engine_last_error(engine, text, sizeof text);
    fprintf(stderr, "%s\n", text);
    camrill_engine_free(engine);
    return 1;
}

int main(int argc, char **argv)
{
    camrill_engine_t *engine = NULL;
    camrill_engine_config_t config = CAMRILL_ENGINE_CONFIG_INIT;

    config.on_log = on_log;
    if (camrill_engine_new(&config, &engine) < 0)
        return fail(NULL);
    if (camrill_config_set(engine, "listen", argc > 1 ? argv[1] : "1935") < 0)
        return fail(engine);
    if (camrill_config_apply(engine) < 0)
        return fail(engine);
    if (camrill_engine_run(engine) < 0)
        return fail(engine);
    camrill_engine_free(engine);
    return 0;
}
