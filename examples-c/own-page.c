/* Pages of the program's own on the web server: a snapshot, and settings to read and to change.
 *
 * own-page [PORT]    then: curl http://127.0.0.1:8080/config
 *                          curl -d brightness=70 http://127.0.0.1:8080/config
 *                          http://127.0.0.1:8080/snapshot.jpg in a browser */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <camrill.h>

static int brightness = 50;
static camrill_engine_t *engine;

/* A picture of one grey pixel; a camera would ask its encoder, and answer when that has one. */
static const uint8_t jpeg[] = {
    0xff, 0xd8, 0xff, 0xdb, 0, 0x43, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    0xff, 0xc0, 0, 0x0b, 8, 0, 1, 0, 1, 1, 1, 0x11, 0, 0xff, 0xc4, 0, 0x14, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0xff, 0xc4, 0, 0x14, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0,
    0x3f, 0, 0x3f, 0xff, 0xd9,
};

static void answer(camrill_id_t ticket, int32_t status, const char *headers, const void *body, size_t size)
{
    if (camrill_http_respond(engine, ticket, status, headers, body, size) == CAMRILL_ENOENT)
        fprintf(stderr, "the client is gone\n");
}

static void on_snapshot(void *user, const camrill_http_request_t *request)
{
    (void)user;
    answer(request->ticket, 200, "Content-Type: image/jpeg\r\nCache-Control: no-store", jpeg, sizeof jpeg);
}

/* GET tells the settings, POST of "brightness=70" changes them and tells them. */
static void on_config(void *user, const camrill_http_request_t *request)
{
    char text[64] = "";
    int value, is_post = strcmp(request->method, "POST") == 0;
    (void)user;
    if (is_post && request->body_size < sizeof text && request->body != NULL)
        memcpy(text, request->body, request->body_size);
    if (is_post && (sscanf(text, "brightness=%d", &value) != 1 || value < 0 || value > 100)) {
        answer(request->ticket, 400, "Content-Type: text/plain", "brightness=0 to 100\n", 20);
        return;
    }
    if (is_post)
        brightness = value;
    snprintf(text, sizeof text, "{\"brightness\":%d}\n", brightness);
    answer(request->ticket, 200, "Content-Type: application/json", text, strlen(text));
}

static int32_t mount(const char *path, void (*on_request)(void *, const camrill_http_request_t *))
{
    camrill_http_mount_t config = CAMRILL_HTTP_MOUNT_INIT;
    config.ports = CAMRILL_PORTS_SERVER;
    config.path = path;
    config.on_request = on_request;
    return camrill_http_mount(engine, &config, NULL);
}

int main(int argc, char **argv)
{
    char why[512];
    if (camrill_engine_new(NULL, &engine) == 0 && camrill_config_set(engine, "listen", "127.0.0.1:0") == 0 &&
        camrill_config_set(engine, "http_server/enabled", "on") == 0 &&
        camrill_config_set(engine, "http_server/listen", argc > 1 ? argv[1] : "8080") == 0 &&
        camrill_config_apply(engine) == 0 && mount("/snapshot.jpg", on_snapshot) == 0 &&
        mount("/config", on_config) == 0) {
        printf("http on port %d\n", (int)camrill_engine_port(engine, "http"));
        fflush(stdout);
        if (camrill_engine_run(engine) == 0) {
            camrill_engine_free(engine);
            return 0;
        }
    }
    camrill_engine_last_error(engine, why, sizeof why);
    fprintf(stderr, "own-page: %s\n", why);
    camrill_engine_free(engine);
    return 1;
}
