// The C++ header: every class used, callbacks that throw, handles that end in any order, callbacks that are
// destroyed once. Built with exceptions and without.
#include <camrill.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            std::abort();                                                                    \
        }                                                                                    \
    } while (0)

// A status that has to be good.
#define GOOD(call) good((call), #call, __LINE__)

static void good(const camrill::Status &status, const char *call, int line)
{
    if (!status.ok()) {
        std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, line, call, status.text());
        std::abort();
    }
}

#define RUN(test)                                    \
    do {                                             \
        alarm(120);                                  \
        std::fprintf(stderr, "  %s\n", #test);       \
        test();                                      \
    } while (0)

// How often C++ has asked for memory: the library's own doesn't come from here.
static std::size_t allocations;

// Not inlined: compilers would take malloc() and delete for a pair that doesn't match.
__attribute__((noinline)) void *operator new(std::size_t size)
{
    allocations++;
    void *memory = std::malloc(size != 0 ? size : 1);
    if (memory == nullptr)
        std::abort();
    return memory;
}
__attribute__((noinline)) void operator delete(void *memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

static int64_t now_ms()
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

// Polls engines in turn until something is so.
static void until(std::initializer_list<camrill::Engine *> engines, const std::function<bool()> &done)
{
    int64_t end = now_ms() + 30000;
    while (!done()) {
        CHECK(now_ms() < end);
        for (camrill::Engine *engine : engines)
            GOOD(engine->poll(2));
    }
}

// Copies of it are counted: as many as there are callbacks that hold one.
typedef std::shared_ptr<int> Token;

static Token token() { return std::make_shared<int>(0); }

// An access unit: SPS, PPS and an IDR slice, or a slice that needs it.
static std::vector<uint8_t> picture(bool key)
{
    static const uint8_t sets[] = {
        0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00,
        0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    };
    std::vector<uint8_t> unit;
    if (key)
        unit.assign(sets, sets + sizeof sets);
    const uint8_t begin[] = {0, 0, 0, 1, static_cast<uint8_t>(key ? 0x65 : 0x41)};
    unit.insert(unit.end(), begin, begin + sizeof begin);
    unit.insert(unit.end(), 400, 0x9a);
    return unit;
}

// An encoder at 25 pictures a second, each fifth a keyframe.
struct Encoder {
    int64_t clock = 0;
    int count = 0;

    template <class Sink> void write(Sink &sink, int pictures)
    {
        for (int i = 0; i < pictures; i++) {
            std::vector<uint8_t> unit = picture(count++ % 5 == 0);
            camrill::Frame frame(CAMRILL_CODEC_H264, unit.data(), unit.size(), clock);
            clock += 40000;
            GOOD(sink.write(frame));
        }
    }
};

static void serve(camrill::Engine &engine)
{
    GOOD(engine.config_set("listen", "127.0.0.1:0"));
    GOOD(engine.config_set("http_server/enabled", "on"));
    GOOD(engine.config_set("http_server/listen", "127.0.0.1:0"));
    GOOD(engine.config_apply());
}

// What comes back for a request, until the server closes.
class Web {
public:
    Web(camrill::Engine &engine, const std::string &request) : fd_(socket(AF_INET, SOCK_STREAM, 0))
    {
        struct sockaddr_in to = sockaddr_in();
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<uint16_t>(engine.port("http").count()));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(connect(fd_, reinterpret_cast<struct sockaddr *>(&to), sizeof to) == 0);
        CHECK(send(fd_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
    }
    Web(const Web &) = delete;
    Web &operator=(const Web &) = delete;
    ~Web() { close(fd_); }

    bool has(const char *text)
    {
        char buffer[65536];
        ssize_t n;
        while ((n = recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
            in_.append(buffer, static_cast<std::size_t>(n));
        return in_.find(text) != std::string::npos;
    }

private:
    int fd_;
    std::string in_;
};

static void statuses_have_sentences()
{
    camrill::Engine engine;
    CHECK(!engine && engine.get() == nullptr);
    CHECK(engine.poll(0).code() == CAMRILL_ESTATE && engine.config_apply().code() == CAMRILL_EINVAL);
    CHECK(engine.stop().code() == CAMRILL_EINVAL && engine.call([] {}).code() == CAMRILL_ESTATE);
    GOOD(engine.open());
    CHECK(engine && camrill::version() == CAMRILL_VERSION);
    camrill::Status wrong = engine.config_set("vhost/a/play/queue_length", "many");
    CHECK(!wrong && wrong.code() == CAMRILL_ECONFIG && wrong.count() == 0);
    CHECK(std::strstr(wrong.text(), "queue_length") != nullptr);
    camrill::Status copy(wrong);
    CHECK(std::strcmp(copy.text(), wrong.text()) == 0);
    copy = camrill::Status(7);
    CHECK(copy && copy.count() == 7 && copy.text()[0] == '\0');
    std::string value = "kept";
    CHECK(engine.config_get("no/such/path", value).code() == CAMRILL_ENOENT && value == "kept");
    GOOD(engine.config_revert());
    GOOD(engine.config_load_text("a text", "listen 127.0.0.1:0;"));
    GOOD(engine.config_check());
    GOOD(engine.config_get("listen", value));
    CHECK(value == "127.0.0.1:0");
    GOOD(engine.config_print(value));
    CHECK(value.find("127.0.0.1:0") != std::string::npos);
    CHECK(engine.config_load_file("/no/such/file").code() == CAMRILL_ENOENT);
    setenv("SRS_LISTEN", "127.0.0.1:0", 1);
    GOOD(engine.config_load_env());
    unsetenv("SRS_LISTEN");
    GOOD(engine.config_apply());
    CHECK(engine.port("rtmp").count() > 0 && engine.port("http").code() == CAMRILL_ENOENT);
    CHECK(engine.fd().count() >= 0 && engine.timeout_ms().ok() && engine.wake().ok());
    CHECK(engine.client_kick(1).code() == CAMRILL_ENOENT && engine.auth_reply(1, CAMRILL_ALLOW).code() == CAMRILL_ENOENT);
    CHECK(engine.resolve_reply(1, "127.0.0.1").code() == CAMRILL_ENOENT);
    CHECK(engine.programs().count() == 0);
    camrill_program_info_t program;
    CHECK(engine.program_info(0, program).code() == CAMRILL_ENOENT);
    CHECK(engine.dvr_start(nullptr, "live", "a").code() == CAMRILL_ENOENT);
    CHECK(engine.dvr_cut(nullptr, "live", "a").code() == CAMRILL_ENOENT);
    CHECK(engine.dvr_stop(nullptr, "live", "a").code() == CAMRILL_ENOENT);
    CHECK(engine.tls_set_certificate("none", "none").code() == CAMRILL_ETLS);
    CHECK(engine.tls_set_roots("none").code() == CAMRILL_ETLS);
    GOOD(engine.set_transport(nullptr));
    camrill::Status longest(-1, std::string(600, 'a').c_str());
    CHECK(std::strlen(longest.text()) == 507);
    camrill::Status cut(-1, (std::string(506, 'a') + "\xc3\xa4 and more").c_str());
    CHECK(std::strlen(cut.text()) == 506);
#ifdef CAMRILL_HPP_EXCEPTIONS
    bool thrown = false;
    try {
        engine.config_set("listen", "nowhere").or_throw();
    } catch (const camrill::Error &error) {
        thrown = error.code() == CAMRILL_ECONFIG && std::strstr(error.what(), "listen") != nullptr;
    }
    CHECK(thrown);
    CHECK(engine.port("rtmp").or_throw() > 0);
    thrown = false;
    camrill::EngineConfig config;
    config.log_level = 99;
    try {
        camrill::Engine other(config);
    } catch (const std::runtime_error &error) {
        thrown = std::strstr(error.what(), "log_level") != nullptr;
    }
    CHECK(thrown);
#endif
}

// One engine publishes, makes HLS, records and forwards; another takes what is forwarded, and plays a file.
static void everything()
{
    Token counted = token();
    char folder[] = "/tmp/camrill-cpp-XXXXXX";
    CHECK(mkdtemp(folder) != nullptr);
    std::string recording;
    {
        int published = 0, lines = 0, asked = 0, resolved = 0, keys = 0, running = 0, files = 0, segments = 0;
        camrill::EngineConfig config;
        config.on_log = [&lines, counted](int32_t, camrill_id_t, const char *) { lines++; };
        config.on_event = [&published, counted](const camrill_event_t &event) {
            published += event.type == CAMRILL_EVENT_PUBLISHED;
        };
        config.on_admission = [&asked, counted](const camrill_admission_t &) {
            asked++;
            return CAMRILL_ALLOW;
        };
        camrill::Engine there;
        GOOD(there.open(config));
        serve(there);

        camrill::Engine here;
        camrill::EngineConfig resolving;
        resolving.on_resolve = [&here, &resolved, counted](camrill_id_t ticket, const char *host, uint16_t) {
            CHECK(std::strcmp(host, "there.test") == 0);
            resolved++;
            GOOD(here.resolve_reply(ticket, "127.0.0.1"));
        };
        GOOD(here.open(resolving));
        serve(here);

        camrill::PublisherConfig p;
        p.tracks.video_codec = CAMRILL_CODEC_H264;
        p.app = "live";
        p.name = "camera";
        p.need_keyframe = [&keys, counted] { keys++; };
        camrill::Publisher publisher;
        GOOD(publisher.open(here, p));
        camrill::Publisher second;
        camrill::Status busy = second.open(here, p);
        CHECK(busy.code() == CAMRILL_EBUSY && busy.text()[0] != '\0' && !second);

        camrill::HlsConfig h;
        h.app = "live";
        h.name = "camera";
        h.fragment_ms = 200;
        h.on_file = [&segments, counted](const camrill_hls_file_t &file) {
            segments += file.kind == CAMRILL_HLS_SEGMENT;
        };
        h.on_remove = [counted](const char *) {};
        camrill::Hls hls;
        GOOD(hls.open(here, h));

        camrill::RecorderConfig r;
        std::string path = std::string(folder) + "/a.flv";
        r.app = "live";
        r.name = "camera";
        r.path = path.c_str();
        r.on_file = [&files, &recording, counted](const camrill_recorder_file_t &file) {
            CHECK(file.what == CAMRILL_RECORDER_OPENED || file.what == CAMRILL_RECORDER_CLOSED);
            files += file.what == CAMRILL_RECORDER_CLOSED;
            recording = file.path;
        };
        camrill::Recorder recorder;
        GOOD(recorder.open(here, r));

        std::string url = "rtmp://there.test:" + std::to_string(there.port("rtmp").count()) + "/live/copy";
        camrill::ForwardConfig f;
        f.app = "live";
        f.name = "camera";
        f.url = url.c_str();
        f.on_state = [&running, counted](const camrill_relay_state_t &state) {
            running += state.state == CAMRILL_RELAY_RUNNING;
        };
        camrill::Forward forward;
        GOOD(forward.open(here, f));

        camrill::IngestConfig i;
        i.app = "live";
        i.name = "clip";
        i.input = "assets/clip.flv";
        i.flags = CAMRILL_INGEST_LOOP;
        i.on_state = [&running, counted](const camrill_relay_state_t &state) {
            running += state.state == CAMRILL_RELAY_RUNNING;
        };
        camrill::Ingest ingest;
        GOOD(ingest.open(there, i));

        Encoder encoder;
        encoder.write(publisher, 25);
        until({&here, &there}, [&] { return running == 2 && published == 2 && segments >= 3; });
        encoder.write(publisher, 25);
        camrill_stream_info_t stream;
        until({&here, &there}, [&] {
            for (camrill_id_t id : there.streams())
                if (there.stream_info(id, stream).ok() && std::strcmp(stream.name, "copy") == 0 &&
                    stream.video_frames >= 25)
                    return true;
            return false;
        });
        CHECK(asked == 2 && resolved == 1 && lines > 3 && there.clients().size() == 1);
        camrill_client_info_t client;
        GOOD(there.client_info(there.clients()[0], client));
        CHECK(client.doing == CAMRILL_CLIENT_PUBLISHING);
        camrill_relay_info_t relay;
        GOOD(forward.info(relay));
        CHECK(relay.starts == 1 && here.relays().size() == 1 && here.relays()[0] == relay.id);
        GOOD(here.relay_info(relay.id, relay));
        GOOD(ingest.info(relay));
        CHECK(relay.state == CAMRILL_RELAY_RUNNING);
        camrill_stats_t stats;
        GOOD(here.stats(stats));
        CHECK(stats.publishers == 1 && stats.struct_size == sizeof stats);
        camrill_publisher_stats_t written;
        GOOD(publisher.stats(written));
        CHECK(written.written == 50 && written.dropped == 0);

        std::vector<uint8_t> playlist;
        GOOD(hls.get(nullptr, nullptr, playlist));
        CHECK(std::string(playlist.begin(), playlist.end()).find("#EXTM3U") == 0);
        CHECK(hls.get("nothing.ts", nullptr, playlist).code() == CAMRILL_ENOENT && playlist.size() > 7);
        CHECK(hls.get() != nullptr);

        GOOD(recorder.cut(CAMRILL_CUT_AT_ONCE));
        GOOD(recorder.stop());
        GOOD(recorder.start());
        until({&here, &there}, [&] { return files == 1; });
        CHECK(recording == path);

        // What a moved one had is in the other, and ends once.
        camrill::Publisher moved(std::move(publisher));
        CHECK(moved && !publisher);
        publisher = std::move(moved);
        encoder.write(publisher, 1);
        camrill::Engine elsewhere(std::move(here));
        CHECK(elsewhere && !here);
        GOOD(elsewhere.poll(0));
        here = std::move(elsewhere);
        GOOD(forward.info(relay));
        unlink(path.c_str());
    }
    CHECK(counted.use_count() == 1);
    unlink((std::string(folder) + "/a.flv").c_str());
    std::string rest = std::string("rm -r ") + folder;
    CHECK(std::system(rest.c_str()) == 0);
}

// Frames that are no stream of the engine's go to HLS and recorders directly.
static void frames_without_a_stream()
{
    char folder[] = "/tmp/camrill-cpp-XXXXXX";
    CHECK(mkdtemp(folder) != nullptr);
    int playlists = 0;
    camrill::Engine engine;
    GOOD(engine.open());
    camrill::HlsConfig h;
    h.tracks.video_codec = CAMRILL_CODEC_H264;
    h.fragment_ms = 200;
    h.on_file = [&playlists](const camrill_hls_file_t &file) { playlists += file.kind == CAMRILL_HLS_PLAYLIST; };
    camrill::Hls hls;
    GOOD(hls.open(engine, h));
    camrill::RecorderConfig r;
    std::string path = std::string(folder) + "/a.mp4";
    r.tracks.video_codec = CAMRILL_CODEC_H264;
    r.path = path.c_str();
    camrill::Recorder recorder;
    GOOD(recorder.open(engine, r));
    // Into memory: one recorder's file, and another one's that can't be opened.
    std::string memory, refused;
    int closed = 0;
    camrill::RecorderConfig m;
    m.tracks.video_codec = CAMRILL_CODEC_H264;
    m.path = "memory.flv";
    m.files.open = [&memory](const char *, void **file) {
        *file = &memory;
        return CAMRILL_OK;
    };
    m.files.write = [&memory](void *file, uint64_t offset, const uint8_t *data, size_t size) {
        CHECK(file == &memory && offset <= memory.size());
        memory.replace(static_cast<size_t>(offset), size, reinterpret_cast<const char *>(data), size);
        return CAMRILL_OK;
    };
    m.files.close = [&closed](void *, bool complete) {
        closed += complete;
        return CAMRILL_OK;
    };
    camrill::Recorder to_memory, to_nowhere;
    GOOD(to_memory.open(engine, m));
    m.files.open = [](const char *, void **) { return CAMRILL_EIO; };
    m.on_file = [&refused](const camrill_recorder_file_t &file) { refused = file.reason; };
    GOOD(to_nowhere.open(engine, m));
    m.files.close = nullptr;
    CHECK(to_nowhere.open(engine, m).code() == CAMRILL_EINVAL);
    Encoder one, two, three, four;
    one.write(hls, 20);
    two.write(recorder, 20);
    three.write(to_memory, 20);
    four.write(to_nowhere, 20);
    to_memory.reset();
    until({&engine}, [&] { return playlists >= 2 && closed == 1 && !refused.empty(); });
    CHECK(memory.compare(0, 3, "FLV") == 0 && memory.size() > 1000);
    camrill::Frame wrong(CAMRILL_CODEC_H264, "\1\2\3\4", 4, 1000000);
    CHECK(hls.write(wrong).code() == CAMRILL_EFRAME && recorder.write(wrong).code() == CAMRILL_EFRAME);
    engine.reset();
    camrill::Status gone = recorder.write(wrong);
    CHECK(gone.code() == CAMRILL_ESTATE && std::strstr(gone.text(), "freed") != nullptr);
    unlink(path.c_str());
    CHECK(rmdir(folder) == 0);
}

static void a_player_gets_packets()
{
    Token counted = token();
    std::vector<camrill::Packet> packets;
    {
        camrill::Engine engine;
        GOOD(engine.open());
        int width = 0, running = 0;
        camrill::PlayerConfig config;
        config.app = "live";
        config.name = "camera";
        config.flags = CAMRILL_PLAYER_NO_AUDIO;
        config.on_tracks = [&width, counted](const camrill_track_info_t *video, const camrill_track_info_t *audio) {
            CHECK(video != nullptr && audio == nullptr);
            width = static_cast<int>(video->width);
        };
        config.on_packet = [&packets, counted](const camrill::Packet &packet) { packets.push_back(packet); };
        config.on_state = [&running, counted](const camrill_relay_state_t &state) {
            running += state.state == CAMRILL_RELAY_RUNNING;
        };
        camrill::Player player;
        GOOD(player.open(engine, config));
        camrill::PlayerConfig wrong;
        wrong.app = "live";
        CHECK(camrill::Player().open(engine, wrong).code() == CAMRILL_EINVAL);
        camrill::PublisherConfig p;
        p.tracks.video_codec = CAMRILL_CODEC_H264;
        p.app = "live";
        p.name = "camera";
        camrill::Publisher publisher;
        GOOD(publisher.open(engine, p));
        Encoder encoder;
        encoder.write(publisher, 10);
        until({&engine}, [&] { return packets.size() == 10; });
        CHECK(width == 640 && running == 1);
        camrill_player_info_t info;
        GOOD(player.info(info));
        CHECK(info.packets == packets.size());
        GOOD(player.pause());
        GOOD(player.pause(false));
    }
    CHECK(counted.use_count() == 1);
    // They outlive all that they came of, and copies are the same packet.
    std::vector<camrill::Packet> copies(packets);
    camrill::Packet last(packets.back());
    packets.clear();
    last = copies[0];
    camrill::Packet moved(std::move(last));
    CHECK(moved && !last && moved.get() == copies[0].get());
    CHECK(moved.info().flags == CAMRILL_PACKET_KEY && moved.info().track == CAMRILL_TRACK_VIDEO);
    const uint8_t *data = nullptr;
    std::size_t size = 0;
    GOOD(moved.data(data, size));
    std::vector<uint8_t> sent = picture(true);
    CHECK(size == moved.info().size && size >= sent.size() - 2);
    CHECK(std::memcmp(data + size - 401, sent.data() + sent.size() - 401, 401) == 0);
    CHECK(last.info().size == 0 && last.data(data, size).code() == CAMRILL_EINVAL);
}

static void a_mount_answers()
{
    Token counted = token();
    {
        camrill::Engine engine;
        GOOD(engine.open());
        serve(engine);
        camrill_id_t waiting = 0;
        int writable = 0, closed = 0;
        camrill::HttpMountConfig config;
        config.path = "/cam/*";
        config.on_request = [&engine, &waiting, counted](const camrill_http_request_t &request) {
            CHECK(camrill::HttpMount::header(request, "x-colour") != nullptr);
            if (std::strcmp(request.path, "/cam/now") == 0)
                GOOD(engine.http_respond(request.ticket, 200, "Content-Type: text/plain\r\n", "here it is"));
            else
                waiting = request.ticket;
        };
        config.on_writable = [&writable, counted](camrill_id_t) { writable++; };
        config.on_closed = [&closed, counted](camrill_id_t) { closed++; };
        camrill::HttpMount mount;
        GOOD(mount.open(engine, config));
        CHECK(mount && mount.id() != 0);
        camrill::HttpMount twice;
        CHECK(twice.open(engine, config).code() == CAMRILL_EBUSY && !twice);
        Web now(engine, "GET /cam/now HTTP/1.1\r\nHost: a\r\nX-Colour: red\r\n\r\n");
        Web later(engine, "GET /cam/later HTTP/1.1\r\nHost: a\r\nX-Colour: red\r\n\r\n");
        until({&engine}, [&] { return now.has("here it is") && waiting != 0; });
        GOOD(engine.http_begin(waiting, 200, nullptr));
        std::string piece(200000, 'a');
        int taken = 0;
        while (engine.http_write(waiting, piece.data(), piece.size()).ok())
            taken++;
        CHECK(taken > 0);
        until({&engine}, [&] { return later.has("aaaa") && writable > 0; });
        GOOD(engine.http_end(waiting));
        camrill::HttpMount moved(std::move(mount));
        CHECK(moved && !mount);
        Web last(engine, "GET /cam/later HTTP/1.1\r\nHost: a\r\nX-Colour: red\r\n\r\n");
        camrill_id_t before = waiting;
        until({&engine}, [&] { return waiting != before; });
        moved.reset();
        until({&engine}, [&] { return last.has("503"); });
    }
    CHECK(counted.use_count() == 1);
}

static void calls_run_on_the_loop()
{
    Token counted = token();
    {
        camrill::Engine engine;
        GOOD(engine.open());
        std::string order;
        GOOD(engine.call([&order, counted] { order += 'a'; }));
        GOOD(engine.call([&order, &engine, counted] {
            order += 'b';
            GOOD(engine.call([&engine, counted] { GOOD(engine.stop()); }));
        }));
        GOOD(engine.run());
        CHECK(order == "ab" && counted.use_count() == 1);
        int taken = 0;
        while (engine.call([counted] {}).ok())
            taken++;
        CHECK(taken == 1024 && counted.use_count() == 1025);
    }
    // What has not run has gone with the engine, and so has a handle that it held.
    CHECK(counted.use_count() == 1);
    {
        camrill::Engine engine;
        GOOD(engine.open());
        camrill::PublisherConfig config;
        config.tracks.video_codec = CAMRILL_CODEC_H264;
        config.app = "live";
        config.name = "camera";
        config.need_keyframe = [counted] {};
        std::shared_ptr<camrill::Publisher> publisher = std::make_shared<camrill::Publisher>();
        GOOD(publisher->open(engine, config));
        GOOD(engine.call([publisher, counted] {}));
    }
    CHECK(counted.use_count() == 1);
}

// Every order in which an engine and what was made of it can end.
static void handles_end_in_any_order()
{
    Token counted = token();
    int order[] = {0, 1, 2, 3};
    for (int n = 0; n < 24; n++) {
        camrill::EngineConfig config;
        config.on_event = [counted](const camrill_event_t &) {};
        camrill::Engine engine;
        GOOD(engine.open(config));
        serve(engine);
        camrill::PublisherConfig p;
        p.tracks.video_codec = CAMRILL_CODEC_H264;
        p.app = "live";
        p.name = "camera";
        p.need_keyframe = [counted] {};
        camrill::Publisher publisher;
        GOOD(publisher.open(engine, p));
        camrill::HlsConfig h;
        h.app = "live";
        h.name = "camera";
        h.on_file = [counted](const camrill_hls_file_t &) {};
        camrill::Hls hls;
        GOOD(hls.open(engine, h));
        camrill::HttpMountConfig m;
        m.path = "/a";
        m.on_request = [counted](const camrill_http_request_t &) {};
        camrill::HttpMount mount;
        GOOD(mount.open(engine, m));
        Encoder().write(publisher, 6);
        if (n % 2 == 0)
            GOOD(engine.poll(0));
        for (int which : order) {
            switch (which) {
            case 0: engine.reset(); break;
            case 1: publisher.reset(); break;
            case 2: hls.reset(); break;
            case 3: mount.reset(); break;
            }
        }
        std::next_permutation(order, order + 4);
    }
    CHECK(counted.use_count() == 1);
}

static void an_engine_ends_inside_a_callback()
{
    Token counted = token();
    camrill::EngineConfig config;
    camrill::Engine engine;
    int events = 0;
    config.on_event = [&engine, &events, counted](const camrill_event_t &) {
        events++;
        engine.reset();
        CHECK(!engine && engine.poll(0).code() == CAMRILL_ESTATE);
    };
    GOOD(engine.open(config));
    config = camrill::EngineConfig();
    camrill::PublisherConfig p;
    p.tracks.video_codec = CAMRILL_CODEC_H264;
    p.app = "live";
    p.name = "camera";
    camrill::Publisher publisher;
    GOOD(publisher.open(engine, p));
    while (engine)
        GOOD(engine.poll(10));
    CHECK(events == 1 && counted.use_count() == 1);
    camrill::Frame frame(CAMRILL_CODEC_H264, "", 0, 0);
    CHECK(publisher.write(frame).code() < 0);
}

static void a_write_allocates_nothing()
{
    camrill::Engine engine;
    GOOD(engine.open());
    camrill::PublisherConfig config;
    config.tracks.video_codec = CAMRILL_CODEC_H264;
    config.queue_bytes = 64 * 1024;
    config.app = "live";
    config.name = "camera";
    camrill::Publisher publisher;
    GOOD(publisher.open(engine, config));
    std::vector<uint8_t> unit = picture(true);
    camrill::Frame frame(CAMRILL_CODEC_H264, unit.data(), unit.size(), 0);
    std::size_t before = allocations;
    int taken = 0, refused = 0;
    for (int i = 0; i < 1000; i++) {
        frame.pts_us = frame.dts_us = i * 40000;
        camrill::Status status = publisher.write(frame);
        CHECK(status.ok() || status.code() == CAMRILL_EAGAIN);
        (status.ok() ? taken : refused)++;
    }
    CHECK(taken > 50 && refused > 50 && allocations == before);
}

#ifdef CAMRILL_HPP_EXCEPTIONS

struct Mishap {
    int number;
};

// Runs `function`, and answers the number of the Mishap that it throws, 0 if it throws none.
static int mishap(const std::function<void()> &function)
{
    try {
        function();
    } catch (const Mishap &thrown) {
        return thrown.number;
    }
    return 0;
}

static void what_a_callback_throws_comes_out_of_the_loop()
{
    Token counted = token();
    {
        int lines = 0;
        camrill::EngineConfig config;
        config.on_event = [counted](const camrill_event_t &event) { throw Mishap{event.type}; };
        config.on_admission = [counted](const camrill_admission_t &) -> int32_t { throw Mishap{100}; };
        config.on_log = [&lines, counted](int32_t, camrill_id_t, const char *) {
            if (lines++ == 0)
                throw Mishap{200};
        };
        camrill::Engine engine(config);
        config = camrill::EngineConfig();
        serve(engine);
        // A line of the log was thrown at while nothing polled: the next poll has it, once.
        CHECK(lines > 0 && mishap([&] { GOOD(engine.poll(0)); }) == 200);
        CHECK(mishap([&] { GOOD(engine.poll(0)); }) == 0);

        camrill::PublisherConfig p;
        p.tracks.video_codec = CAMRILL_CODEC_H264;
        p.app = "live";
        p.name = "camera";
        camrill::Publisher publisher(engine, p);
        CHECK(mishap([&] { GOOD(engine.run()); }) == CAMRILL_EVENT_PUBLISHED);

        // Of several the first one; the loop goes on when it is called again.
        GOOD(engine.call([counted] { throw Mishap{1}; }));
        GOOD(engine.call([counted] { throw Mishap{2}; }));
        GOOD(engine.call([&engine, counted] { GOOD(engine.stop()); }));
        CHECK(mishap([&] { GOOD(engine.run()); }) == 1);
        GOOD(engine.poll(0));

        // A request whose callback throws is answered, whatever it has done before.
        camrill::HttpMountConfig m;
        m.path = "/cam/*";
        m.on_request = [&engine, counted](const camrill_http_request_t &request) {
            if (std::strcmp(request.path, "/cam/begun") == 0) {
                GOOD(engine.http_begin(request.ticket, 200, nullptr));
                GOOD(engine.http_write(request.ticket, "begun", 5));
            } else if (std::strcmp(request.path, "/cam/done") == 0) {
                GOOD(engine.http_respond(request.ticket, 200, nullptr, "done"));
            }
            throw Mishap{3};
        };
        camrill::HttpMount mount(engine, m);
        const char *paths[][2] = {{"none", " 500 "}, {"begun", "begun"}, {"done", "done"}};
        for (const char *const *path : paths) {
            Web web(engine, std::string("GET /cam/") + path[0] + " HTTP/1.1\r\nHost: a\r\n\r\n");
            CHECK(mishap([&] { until({&engine}, [] { return false; }); }) == 3);
            until({&engine}, [&] { return web.has(path[1]); });
        }

        // A client whose admission throws is refused.
        std::string url = "rtmp://127.0.0.1:" + std::to_string(engine.port("rtmp").count()) + "/live/copy";
        camrill::Engine other(camrill::EngineConfig{});
        std::string reason;
        camrill::IngestConfig i;
        i.app = "live";
        i.name = "copy";
        i.input = url.c_str();
        i.on_state = [&reason, counted](const camrill_relay_state_t &state) {
            reason = state.reason;
            if (state.state == CAMRILL_RELAY_WAITING)
                throw Mishap{4};
        };
        camrill::Ingest ingest(other, i);
        CHECK(mishap([&] { until({&engine, &other}, [] { return false; }); }) == 100);
        CHECK(mishap([&] { until({&engine, &other}, [] { return false; }); }) == 4);
        CHECK(!reason.empty());
    }
    CHECK(counted.use_count() == 1);
}

static void constructors_throw()
{
    camrill::Engine engine(camrill::EngineConfig{});
    bool thrown = false;
    camrill::RecorderConfig config;
    try {
        camrill::Recorder recorder(engine, config);
    } catch (const camrill::Error &error) {
        thrown = error.code() == CAMRILL_EINVAL;
    }
    CHECK(thrown);
    camrill::HlsConfig h;
    h.app = "live";
    h.name = "camera";
    camrill::Hls hls(engine, h);
    camrill::ForwardConfig f;
    f.app = "live";
    f.name = "camera";
    f.url = "rtmp://127.0.0.1:1/live/camera";
    camrill::Forward forward(engine, f);
    CHECK(hls && forward);
}

#endif

int main()
{
    RUN(statuses_have_sentences);
    RUN(everything);
    RUN(frames_without_a_stream);
    RUN(a_player_gets_packets);
    RUN(a_mount_answers);
    RUN(calls_run_on_the_loop);
    RUN(handles_end_in_any_order);
    RUN(an_engine_ends_inside_a_callback);
    RUN(a_write_allocates_nothing);
#ifdef CAMRILL_HPP_EXCEPTIONS
    RUN(what_a_callback_throws_comes_out_of_the_loop);
    RUN(constructors_throw);
#endif
    return 0;
}
