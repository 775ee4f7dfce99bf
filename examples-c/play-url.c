/* Plays a URL into frames: H.264 or H.265 as Annex B to VIDEO, sound (AAC behind ADTS headers) to AUDIO, and says
 * what it has. A player that is lost comes back by itself; a file ends it, as does Ctrl-C.
 *
 * play-url URL VIDEO AUDIO     play-url rtmp://camera.local/live/1 door.h264 door.aac */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>

#include <camrill.h>

static camrill_engine_t *engine;
static FILE *files[2];

static void on_signal(int number)
{
    (void)number;
    camrill_engine_stop(engine);
}

static void on_tracks(void *user, const camrill_track_info_t *video, const camrill_track_info_t *audio)
{
    (void)user;
    if (video != NULL)
        printf("video: codec %d, %ux%u\n", (int)video->codec, (unsigned)video->width, (unsigned)video->height);
    if (audio != NULL)
        printf("audio: codec %d, %u Hz, %u channels\n", (int)audio->codec, (unsigned)audio->sample_rate,
               (unsigned)audio->channels);
    fflush(stdout);
}

/* A frame, in the pieces that it lies in: nothing is copied. A program that hands frames to a thread of its own
 * keeps them with camrill_packet_ref(), and has all bytes in one place from camrill_packet_data(). */
static void on_packet(void *user, camrill_packet_t *packet)
{
    camrill_packet_info_t info;
    size_t i;
    (void)user;
    info.struct_size = sizeof info;
    if (camrill_packet_info(packet, &info) < 0)
        return;
    for (i = 0; i < info.iov_count; i++)
        if (fwrite(info.iov[i].data, 1, info.iov[i].size, files[info.track == CAMRILL_TRACK_AUDIO]) == 0)
            camrill_engine_stop(engine); /* the disk is full */
}

static void on_state(void *user, const camrill_relay_state_t *state)
{
    (void)user;
    if (state->state == CAMRILL_RELAY_WAITING)
        printf("%s; again in %u ms\n", state->reason, (unsigned)state->next_ms);
    if (state->state == CAMRILL_RELAY_ENDED) {
        printf("%s\n", state->reason);
        camrill_engine_stop(engine);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    camrill_player_config_t config = CAMRILL_PLAYER_CONFIG_INIT;
    camrill_player_t *player = NULL;
    camrill_player_info_t info;
    struct sigaction action;
    char text[512];
    int wrong = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: play-url URL VIDEO AUDIO\n");
        return 2;
    }
    config.url = argv[1];
    config.on_tracks = on_tracks;
    config.on_packet = on_packet;
    config.on_state = on_state;
    files[0] = fopen(argv[2], "wb");
    files[1] = fopen(argv[3], "wb");
    if (files[0] == NULL || files[1] == NULL) {
        perror("play-url");
        return 1;
    }
    if (camrill_engine_new(NULL, &engine) < 0 || camrill_player_new(engine, &config, &player) < 0) {
        camrill_engine_last_error(engine, text, sizeof text);
        fprintf(stderr, "play-url: %s\n", text);
        camrill_engine_free(engine);
        return 1;
    }
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    camrill_engine_run(engine);

    info.struct_size = sizeof info;
    if (camrill_player_info(player, &info) == 0)
        printf("%llu frames, %.1f KB\n", (unsigned long long)info.packets, (double)info.bytes / 1e3);
    camrill_player_free(player);
    camrill_engine_free(engine);
    wrong = fclose(files[0]) | fclose(files[1]);
    return wrong != 0;
}
