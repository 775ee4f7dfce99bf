// camrill for C++11: the handles of camrill.h as objects that free themselves, callbacks as std::function.
//
//     camrill::EngineConfig config;
//     config.on_event = [](const camrill_event_t &event) { std::printf("%s\n", event.name); };
//     camrill::Engine engine(config);                       // or engine.open(config), which doesn't throw
//     engine.config_set("listen", "1935").or_throw();
//     engine.config_apply().or_throw();
//     engine.run().or_throw();
//
// The structs are those of C, whose comments say what each field is: a Config here is the C struct, filled with
// its _INIT, with std::function in the places of the callbacks. What it points to has to last for the call.
//
// Every function that can fail answers a Status and throws nothing, so that it is the same in firmware that is
// built with -fno-exceptions. Where exceptions are on, Status::or_throw() makes an Error of one, and every
// handle has a constructor that throws in place of open().
//
// A callback may throw: nothing crosses the C library. The first exception is kept and comes out of
// Engine::poll() or Engine::run(), which ends then; a client whose admission or request threw is refused.
// With -fno-exceptions an exception that comes from code of others ends the program (std::terminate).
//
// Handles can be moved, not copied, and end in any order: what is left of an engine that is gone answers
// CAMRILL_ESTATE. Each callback is destroyed once, when the library needs it no more, which for most is inside
// a later poll. Threads are as in camrill.h: all of it on the loop's thread, but what is marked [any thread].
//
// SPDX-License-Identifier: MIT OR Apache-2.0

#ifndef CAMRILL_HPP
#define CAMRILL_HPP

#include <camrill.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define CAMRILL_HPP_EXCEPTIONS 1
#include <exception>
#include <stdexcept>
#endif

#if defined(__clang__)
#define CAMRILL_HPP_NODISCARD [[clang::warn_unused_result]]
#elif defined(__GNUC__) && __GNUC__ >= 7
#define CAMRILL_HPP_NODISCARD [[nodiscard]]
#else
#define CAMRILL_HPP_NODISCARD
#endif

namespace camrill {

#ifdef CAMRILL_HPP_EXCEPTIONS
// What Status::or_throw() and the constructors throw: the library's sentence, and its number.
class Error : public std::runtime_error {
public:
    Error(int32_t code, const char *text) : std::runtime_error(text), code_(code) {}

    // CAMRILL_E…
    int32_t code() const noexcept { return code_; }

private:
    int32_t code_;
};
#endif

// How a call ended: its number, and the sentence where it failed. It has room for one, and allocates nothing.
class CAMRILL_HPP_NODISCARD Status {
public:
    // `code` as the library answers it; `text` is copied, as much of it as there is room for.
    explicit Status(int32_t code = CAMRILL_OK, const char *text = "") noexcept : code_(code) { say(text); }
    Status(const Status &other) noexcept : code_(other.code_) { say(other.text_); }
    Status &operator=(const Status &other) noexcept
    {
        if (this != &other) {
            code_ = other.code_;
            say(other.text_);
        }
        return *this;
    }

    bool ok() const noexcept { return code_ >= 0; }
    explicit operator bool() const noexcept { return ok(); }
    // CAMRILL_OK, a positive count, or CAMRILL_E….
    int32_t code() const noexcept { return code_; }
    // What the library counted or answered; 0 where it failed.
    int32_t count() const noexcept { return ok() ? code_ : 0; }
    // What went wrong, where, and what was expected; "" where nothing did.
    const char *text() const noexcept { return text_; }

#ifdef CAMRILL_HPP_EXCEPTIONS
    // Throws an Error where this is one; else answers count().
    int32_t or_throw() const
    {
        if (!ok())
            throw Error(code_, text_);
        return code_;
    }
#endif

private:
    void say(const char *text) noexcept
    {
        std::size_t length = std::strlen(text);
        if (length >= sizeof text_)
            length = sizeof text_ - 1;
        // Not in the middle of a character.
        while (length < std::strlen(text) && length > 0 && (text[length] & 0xc0) == 0x80)
            length--;
        std::memmove(text_, text, length);
        text_[length] = '\0';
    }

    int32_t code_;
    char text_[508];
};

// The version of the library that is linked; CAMRILL_VERSION is that of the header. [any thread]
inline uint32_t version() noexcept { return camrill_version(); }

namespace detail {

// What an engine and all that was made of it share. It outlives the engine.
struct Host {
    camrill_engine_t *engine = nullptr;
    std::atomic<bool> running{false};
    std::mutex mutex;
    // What Engine::call() was given and has not run yet.
    std::deque<std::function<void()>> calls;
#ifdef CAMRILL_HPP_EXCEPTIONS
    std::exception_ptr kept;
#endif

    // The status of a call on the engine.
    Status status(int32_t code) const noexcept { return told(engine, code); }

    // The status of a call that has no engine: the sentence is this thread's.
    static Status of_thread(int32_t code) noexcept { return told(nullptr, code); }

    static Status gone() noexcept { return Status(CAMRILL_ESTATE, "there is no engine, or it has been freed"); }

    // Runs a callback. No exception leaves it: the first one is kept for poll() or run().
    template <class Function> bool guarded(const Function &function) noexcept
    {
#ifdef CAMRILL_HPP_EXCEPTIONS
        try {
            function();
            return true;
        } catch (...) {
            keep(std::current_exception());
            return false;
        }
#else
        function();
        return true;
#endif
    }

    // Throws what a callback has thrown.
    void rethrow()
    {
#ifdef CAMRILL_HPP_EXCEPTIONS
        std::exception_ptr thrown;
        {
            std::lock_guard<std::mutex> lock(mutex);
            thrown.swap(kept);
        }
        if (thrown)
            std::rethrow_exception(thrown);
#endif
    }

private:
    static Status told(const camrill_engine_t *engine, int32_t code) noexcept
    {
        if (code >= 0)
            return Status(code);
        char text[512] = "";
        camrill_engine_last_error(engine, text, sizeof text);
        return Status(code, text[0] != '\0' ? text : camrill_strerror(code));
    }

#ifdef CAMRILL_HPP_EXCEPTIONS
    void keep(std::exception_ptr thrown) noexcept
    {
        std::lock_guard<std::mutex> lock(mutex);
        if (!kept)
            kept = thrown;
        if (running && engine != nullptr)
            camrill_engine_stop(engine);
    }
#endif
};

// What the library is given as `user`: the callbacks, and the host that they report to.
template <class Config> struct Held {
    std::shared_ptr<Host> host;
    Config config;

    Held(const std::shared_ptr<Host> &h, Config &&c) : host(h), config(std::move(c)) {}

    static Held &of(void *user) noexcept { return *static_cast<Held *>(user); }
    static void drop(void *user) noexcept { delete static_cast<Held *>(user); }
};

// A pointer of the library's that is freed once.
template <class T, void (*Free)(T *)> class Handle {
public:
    Handle() noexcept = default;
    Handle(Handle &&other) noexcept : host_(std::move(other.host_)), raw_(other.raw_) { other.raw_ = nullptr; }
    Handle &operator=(Handle &&other) noexcept
    {
        if (this != &other) {
            reset();
            host_ = std::move(other.host_);
            raw_ = other.raw_;
            other.raw_ = nullptr;
        }
        return *this;
    }
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;
    ~Handle() { reset(); }

    // Ends it, as the destructor does; there is nothing in it then.
    void reset() noexcept
    {
        T *raw = raw_;
        raw_ = nullptr;
        // Kept until the callbacks that this may run are through.
        std::shared_ptr<Host> host = std::move(host_);
        host_.reset();
        if (raw != nullptr)
            Free(raw);
    }

    explicit operator bool() const noexcept { return raw_ != nullptr; }
    // The C handle, for what has no function here. It stays this object's.
    T *get() const noexcept { return raw_; }

protected:
    // Makes it anew: `New` has the library write to the last argument. What there was before is ended.
    template <class Config, class New>
    Status make(const std::shared_ptr<Host> &host, Config &&config, const New &create)
    {
        if (!host || host->engine == nullptr)
            return Host::gone();
        std::unique_ptr<Held<Config>> held(new Held<Config>(host, std::move(config)));
        held->config.user = held.get();
        held->config.user_free = Held<Config>::drop;
        T *raw = nullptr;
        Status status = host->status(create(host->engine, held->config, &raw));
        if (status.ok()) {
            held.release();
            reset();
            host_ = host;
            raw_ = raw;
        }
        return status;
    }

    // The status of a call on this.
    Status status(int32_t code) const noexcept
    {
        return host_ && host_->engine != nullptr ? host_->status(code) : Host::of_thread(code);
    }

    std::shared_ptr<Host> host_;
    T *raw_ = nullptr;
};

} // namespace detail

class Engine;

// How an engine is made: camrill_engine_config_t. `user` and `user_free` are this header's.
struct EngineConfig : camrill_engine_config_t {
    EngineConfig() : camrill_engine_config_t CAMRILL_ENGINE_CONFIG_INIT {}

    std::function<void(int32_t level, camrill_id_t client, const char *line)> on_log;
    std::function<void(const camrill_event_t &event)> on_event;
    // Answers CAMRILL_ALLOW, CAMRILL_DENY or CAMRILL_PENDING.
    std::function<int32_t(const camrill_admission_t &request)> on_admission;
    std::function<void(camrill_id_t ticket, const char *host, uint16_t port)> on_resolve;
};

// An engine: one server, one loop. Handles of it may outlive it.
class Engine {
public:
    Engine() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    explicit Engine(EngineConfig config) { open(std::move(config)).or_throw(); }
#endif
    Engine(Engine &&) noexcept = default;
    Engine &operator=(Engine &&other) noexcept
    {
        if (this != &other) {
            reset();
            host_ = std::move(other.host_);
        }
        return *this;
    }
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;
    ~Engine() { reset(); }

    // Makes the engine. What this object held before is freed. [any thread]
    Status open(EngineConfig config = EngineConfig())
    {
        std::shared_ptr<detail::Host> host = std::make_shared<detail::Host>();
        std::unique_ptr<Held> held(new Held(host, std::move(config)));
        camrill_engine_config_t &raw = held->config;
        raw.user = held.get();
        raw.user_free = freed;
        raw.on_log = held->config.on_log ? log : nullptr;
        raw.on_event = held->config.on_event ? event : nullptr;
        raw.on_admission = held->config.on_admission ? admission : nullptr;
        raw.on_resolve = held->config.on_resolve ? resolve : nullptr;
        Status status = detail::Host::of_thread(camrill_engine_new(&raw, &host->engine));
        if (status.ok()) {
            held.release();
            reset();
            host_ = std::move(host);
        }
        return status;
    }

    // Frees the engine, as the destructor does. Legal inside a callback.
    void reset() noexcept
    {
        std::shared_ptr<detail::Host> host = std::move(host_);
        host_.reset();
        if (!host || host->engine == nullptr)
            return;
        camrill_engine_t *engine = host->engine;
        host->engine = nullptr;
        camrill_engine_free(engine);
    }

    explicit operator bool() const noexcept { return raw() != nullptr; }
    // The C handle, for what has no function here. It stays this object's.
    camrill_engine_t *get() const noexcept { return raw(); }

    // ---- the loop ----

    // The descriptor for the host's own loop, as count().
    Status fd() const { return status(camrill_engine_fd(raw())); }
    // How long that loop may wait, in ms, as count().
    Status timeout_ms() const { return status(camrill_engine_timeout_ms(raw())); }
    // One turn of the loop. Throws what a callback has thrown.
    Status poll(int32_t timeout_ms)
    {
        return turning([timeout_ms](camrill_engine_t *engine) { return camrill_engine_poll(engine, timeout_ms); });
    }
    // Runs the loop on this thread until stop(), or until a callback throws, which this throws then.
    Status run()
    {
        return turning([this](camrill_engine_t *engine) {
            std::shared_ptr<detail::Host> host = host_;
            bool outer = host->running.exchange(true);
            int32_t answer = camrill_engine_run(engine);
            host->running = outer;
            return answer;
        });
    }
    // Makes run() return soon. [any thread]
    Status stop() const { return status(camrill_engine_stop(raw())); }
    // Ends the wait of the poll or run that is going on. [any thread]
    Status wake() const { return status(camrill_engine_wake(raw())); }
    // Has the loop's thread run `function`. One that has not run when the engine is freed never does, and is
    // destroyed then. [any thread]
    Status call(std::function<void()> function) const
    {
        if (raw() == nullptr)
            return detail::Host::gone();
        std::lock_guard<std::mutex> lock(host_->mutex);
        host_->calls.push_back(std::move(function));
        Status answer = status(camrill_engine_call(raw(), called, host_.get()));
        if (!answer.ok())
            host_->calls.pop_back();
        return answer;
    }

    // ---- the configuration ----

    Status config_load_file(const char *path) { return status(camrill_config_load_file(raw(), path)); }
    Status config_load_text(const char *name, const char *content)
    {
        return status(camrill_config_load_text(raw(), name, content));
    }
    Status config_load_env() { return status(camrill_config_load_env(raw())); }
    Status config_set(const char *path, const char *value) { return status(camrill_config_set(raw(), path, value)); }
    Status config_get(const char *path, std::string &out) const
    {
        return text(out, [this, path](char *buffer, std::size_t size) {
            return camrill_config_get(raw(), path, buffer, size);
        });
    }
    Status config_print(std::string &out) const
    {
        return text(out, [this](char *buffer, std::size_t size) { return camrill_config_print(raw(), buffer, size); });
    }
    Status config_check() { return status(camrill_config_check(raw())); }
    Status config_apply() { return status(camrill_config_apply(raw())); }
    Status config_revert() { return status(camrill_config_revert(raw())); }
    // The port of "rtmp", "http", "api", …, as count().
    Status port(const char *protocol) const { return status(camrill_engine_port(raw(), protocol)); }
    Status tls_set_certificate(const std::string &cert_pem, const std::string &key_pem)
    {
        return status(camrill_tls_set_certificate(raw(), cert_pem.data(), cert_pem.size(), key_pem.data(),
                                                  key_pem.size()));
    }
    Status tls_set_roots(const std::string &roots_pem)
    {
        return status(camrill_tls_set_roots(raw(), roots_pem.data(), roots_pem.size()));
    }
    Status set_transport(const camrill_transport_t *transport)
    {
        return status(camrill_engine_set_transport(raw(), transport));
    }

    // ---- clients and streams ----

    Status auth_reply(camrill_id_t ticket, int32_t verdict, const char *why = nullptr)
    {
        return status(camrill_auth_reply(raw(), ticket, verdict, why));
    }
    Status resolve_reply(camrill_id_t ticket, const char *addresses)
    {
        return status(camrill_resolve_reply(raw(), ticket, addresses));
    }
    Status client_kick(camrill_id_t client) { return status(camrill_client_kick(raw(), client)); }
    Status stats(camrill_stats_t &out) const { return info(out, camrill_stats); }
    Status stream_info(camrill_id_t id, camrill_stream_info_t &out) const { return info(id, out, camrill_stream_info); }
    Status client_info(camrill_id_t id, camrill_client_info_t &out) const { return info(id, out, camrill_client_info); }
    Status relay_info(camrill_id_t id, camrill_relay_info_t &out) const { return info(id, out, camrill_relay_info); }
    std::vector<camrill_id_t> streams() const { return ids(camrill_streams); }
    std::vector<camrill_id_t> clients() const { return ids(camrill_clients); }
    std::vector<camrill_id_t> relays() const { return ids(camrill_relays); }
    // How many programs the configuration wants the host to run, as count().
    Status programs() { return status(camrill_programs(raw())); }
    Status program_info(std::size_t index, camrill_program_info_t &out) const
    {
        out = camrill_program_info_t();
        out.struct_size = sizeof out;
        return status(camrill_program_info(raw(), index, &out));
    }
    Status dvr_start(const char *vhost, const char *app, const char *name)
    {
        return status(camrill_dvr_start(raw(), vhost, app, name));
    }
    Status dvr_stop(const char *vhost, const char *app, const char *name)
    {
        return status(camrill_dvr_stop(raw(), vhost, app, name));
    }
    Status dvr_cut(const char *vhost, const char *app, const char *name, uint32_t flags = 0)
    {
        return status(camrill_dvr_cut(raw(), vhost, app, name, flags));
    }

    // ---- answers to requests for mounted paths ----

    Status http_respond(camrill_id_t ticket, int32_t code, const char *headers, const void *body, std::size_t size)
    {
        return status(
            camrill_http_respond(raw(), ticket, code, headers, static_cast<const uint8_t *>(body), size));
    }
    Status http_respond(camrill_id_t ticket, int32_t code, const char *headers, const std::string &body)
    {
        return http_respond(ticket, code, headers, body.data(), body.size());
    }
    Status http_begin(camrill_id_t ticket, int32_t code, const char *headers, int64_t length = -1)
    {
        return status(camrill_http_begin(raw(), ticket, code, headers, length));
    }
    Status http_write(camrill_id_t ticket, const void *data, std::size_t size)
    {
        return status(camrill_http_write(raw(), ticket, static_cast<const uint8_t *>(data), size));
    }
    Status http_end(camrill_id_t ticket) { return status(camrill_http_end(raw(), ticket)); }

    // For the other classes of this header.
    const std::shared_ptr<detail::Host> &host() const noexcept { return host_; }

private:
    typedef detail::Held<EngineConfig> Held;

    camrill_engine_t *raw() const noexcept { return host_ ? host_->engine : nullptr; }
    Status status(int32_t code) const noexcept
    {
        return raw() != nullptr ? host_->status(code) : detail::Host::of_thread(code);
    }

    template <class Function> Status turning(const Function &function)
    {
        // This object may end in a callback.
        std::shared_ptr<detail::Host> host = host_;
        if (!host || host->engine == nullptr)
            return detail::Host::gone();
        int32_t answer = function(host->engine);
        Status result = answer >= 0 ? Status(answer) : host->status(answer);
        host->rethrow();
        return result;
    }

    template <class Read> Status text(std::string &out, const Read &read) const
    {
        int32_t length = read(nullptr, 0);
        if (length < 0)
            return status(length);
        std::string buffer(static_cast<std::size_t>(length) + 1, '\0');
        Status answer = status(read(&buffer[0], buffer.size()));
        if (answer.ok()) {
            buffer.resize(static_cast<std::size_t>(answer.code()));
            out.swap(buffer);
        }
        return answer;
    }

    template <class Info> Status info(Info &out, int32_t (*read)(const camrill_engine_t *, Info *)) const
    {
        out = Info();
        out.struct_size = sizeof out;
        return status(read(raw(), &out));
    }
    template <class Info>
    Status info(camrill_id_t id, Info &out, int32_t (*read)(const camrill_engine_t *, camrill_id_t, Info *)) const
    {
        out = Info();
        out.struct_size = sizeof out;
        return status(read(raw(), id, &out));
    }
    std::vector<camrill_id_t> ids(int32_t (*read)(const camrill_engine_t *, camrill_id_t *, std::size_t)) const
    {
        int32_t count = read(raw(), nullptr, 0);
        std::vector<camrill_id_t> found(count > 0 ? static_cast<std::size_t>(count) : 0);
        if (!found.empty() && read(raw(), found.data(), found.size()) < 0)
            found.clear();
        return found;
    }

    static void freed(void *user) noexcept
    {
        // What has not run may hold handles of this engine, and these the host: a circle that ends here.
        std::deque<std::function<void()>> calls;
        {
            std::lock_guard<std::mutex> lock(Held::of(user).host->mutex);
            calls.swap(Held::of(user).host->calls);
        }
        Held::drop(user);
    }
    static void log(void *user, int32_t level, camrill_id_t client, const char *line) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_log(level, client, line); });
    }
    static void event(void *user, const camrill_event_t *event) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_event(*event); });
    }
    static int32_t admission(void *user, const camrill_admission_t *request) noexcept
    {
        Held &held = Held::of(user);
        int32_t verdict = CAMRILL_DENY;
        held.host->guarded([&] { verdict = held.config.on_admission(*request); });
        return verdict;
    }
    static void resolve(void *user, camrill_id_t ticket, const char *host, uint16_t port) noexcept
    {
        Held &held = Held::of(user);
        if (!held.host->guarded([&] { held.config.on_resolve(ticket, host, port); }) && held.host->engine != nullptr)
            camrill_resolve_reply(held.host->engine, ticket, nullptr);
    }
    static void called(void *user) noexcept
    {
        detail::Host &host = *static_cast<detail::Host *>(user);
        std::function<void()> function;
        {
            std::lock_guard<std::mutex> lock(host.mutex);
            function.swap(host.calls.front());
            host.calls.pop_front();
        }
        host.guarded(function);
    }

    std::shared_ptr<detail::Host> host_;
};

// How a publisher is made: camrill_publisher_config_t.
struct PublisherConfig : camrill_publisher_config_t {
    PublisherConfig() : camrill_publisher_config_t CAMRILL_PUBLISHER_CONFIG_INIT {}

    std::function<void()> need_keyframe;
    std::function<void(uint32_t bits_per_second)> rate_hint;
};

// One frame: camrill_frame_t. The data stays the caller's.
struct Frame : camrill_frame_t {
    Frame() : camrill_frame_t CAMRILL_FRAME_INIT {}
    Frame(int32_t codec_, const void *data_, std::size_t size_, int64_t pts) : Frame(codec_, data_, size_, pts, pts) {}
    Frame(int32_t codec_, const void *data_, std::size_t size_, int64_t pts, int64_t dts) : Frame()
    {
        codec = codec_;
        data = static_cast<const uint8_t *>(data_);
        size = size_;
        pts_us = pts;
        dts_us = dts;
    }
};

// A stream of this process's own. write() is for one thread at a time, any one; it allocates nothing here.
class Publisher : public detail::Handle<camrill_publisher_t, camrill_publisher_free> {
public:
    Publisher() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Publisher(const Engine &engine, PublisherConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, PublisherConfig config)
    {
        return make(engine.host(), std::move(config),
                    [](camrill_engine_t *e, PublisherConfig &c, camrill_publisher_t **out) {
                        raw(c).need_keyframe = c.need_keyframe ? need_keyframe : nullptr;
                        raw(c).rate_hint = c.rate_hint ? rate_hint : nullptr;
                        return camrill_publisher_new(e, &c, out);
                    });
    }
    Status write(const camrill_frame_t &frame) { return told(camrill_publisher_write(raw_, &frame)); }
    // Writes a frame whose memory is lent: `release(user)` runs once, whatever happens, on the thread that lets go
    // of the last piece.
    Status write_ref(const camrill_frame_t &frame, void (*release)(void *user), void *user)
    {
        return told(camrill_publisher_write_ref(raw_, &frame, release, user));
    }
    // The same of memory that an object owns, which is destroyed then. Nothing is allocated.
    template <class Owner> Status write_ref(const camrill_frame_t &frame, std::unique_ptr<Owner> owner)
    {
        return write_ref(frame, destroy<Owner>, owner.release());
    }
    Status stats(camrill_publisher_stats_t &out) const
    {
        out = camrill_publisher_stats_t();
        out.struct_size = sizeof out;
        return told(camrill_publisher_stats(raw_, &out));
    }

private:
    typedef detail::Held<PublisherConfig> Held;

    static camrill_publisher_config_t &raw(PublisherConfig &config) noexcept { return config; }
    // The engine's sentence belongs to the loop's thread; that of a write to the writer's.
    static Status told(int32_t code) noexcept { return detail::Host::of_thread(code); }
    static void need_keyframe(void *user) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded(held.config.need_keyframe);
    }
    static void rate_hint(void *user, uint32_t bits_per_second) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.rate_hint(bits_per_second); });
    }
    template <class Owner> static void destroy(void *owner) noexcept { delete static_cast<Owner *>(owner); }
};

// How HLS is made: camrill_hls_config_t.
struct HlsConfig : camrill_hls_config_t {
    HlsConfig() : camrill_hls_config_t CAMRILL_HLS_CONFIG_INIT {}

    std::function<void(const camrill_hls_file_t &file)> on_file;
    std::function<void(const char *name)> on_remove;
};

// HLS that is made of a stream, or of frames that are written to it.
class Hls : public detail::Handle<camrill_hls_t, camrill_hls_free> {
public:
    Hls() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Hls(const Engine &engine, HlsConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, HlsConfig config)
    {
        return make(engine.host(), std::move(config), [](camrill_engine_t *e, HlsConfig &c, camrill_hls_t **out) {
            camrill_hls_config_t &raw = c;
            raw.on_file = c.on_file ? file : nullptr;
            raw.on_remove = c.on_remove ? remove : nullptr;
            return camrill_hls_new(e, &raw, out);
        });
    }
    Status write(const camrill_frame_t &frame) { return status(camrill_hls_write(raw_, &frame)); }
    // A file that is kept in memory; the playlist without a name.
    Status get(const char *name, const char *query, std::vector<uint8_t> &out) const
    {
        int32_t length = camrill_hls_get(raw_, name, query, nullptr, 0);
        if (length < 0)
            return status(length);
        std::vector<uint8_t> buffer(static_cast<std::size_t>(length));
        Status answer = status(camrill_hls_get(raw_, name, query, buffer.data(), buffer.size()));
        if (answer.ok())
            out.swap(buffer);
        return answer;
    }
    using Handle::get;

private:
    typedef detail::Held<HlsConfig> Held;

    static void file(void *user, const camrill_hls_file_t *file) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_file(*file); });
    }
    static void remove(void *user, const char *name) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_remove(name); });
    }
};

// Files of the host's own, as camrill_file_sink_t has them; all three are set. One that throws answers CAMRILL_EIO.
struct FileSink {
    std::function<int32_t(const char *path, void **file)> open;
    std::function<int32_t(void *file, uint64_t offset, const uint8_t *data, size_t size)> write;
    std::function<int32_t(void *file, bool complete)> close;
};

// How a recorder is made: camrill_recorder_config_t. `files` takes the place of `sink`.
struct RecorderConfig : camrill_recorder_config_t {
    RecorderConfig() : camrill_recorder_config_t CAMRILL_RECORDER_CONFIG_INIT {}

    std::function<void(const camrill_recorder_file_t &file)> on_file;
    FileSink files;
};

// A recorder of a stream, or of frames that are written to it.
class Recorder : public detail::Handle<camrill_recorder_t, camrill_recorder_free> {
public:
    Recorder() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Recorder(const Engine &engine, RecorderConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, RecorderConfig config)
    {
        return make(engine.host(), std::move(config),
                    [](camrill_engine_t *e, RecorderConfig &c, camrill_recorder_t **out) {
                        camrill_recorder_config_t &raw = c;
                        raw.on_file = c.on_file ? file : nullptr;
                        camrill_file_sink_t sink = CAMRILL_FILE_SINK_INIT;
                        if (c.files.open || c.files.write || c.files.close) {
                            sink.open = c.files.open ? open_file : nullptr;
                            sink.write = c.files.write ? write_file : nullptr;
                            sink.close = c.files.close ? close_file : nullptr;
                            raw.sink = &sink;
                        }
                        return camrill_recorder_new(e, &raw, out);
                    });
    }
    Status write(const camrill_frame_t &frame) { return status(camrill_recorder_write(raw_, &frame)); }
    Status start() { return status(camrill_recorder_start(raw_)); }
    Status stop() { return status(camrill_recorder_stop(raw_)); }
    Status cut(uint32_t flags = 0) { return status(camrill_recorder_cut(raw_, flags)); }

private:
    typedef detail::Held<RecorderConfig> Held;

    static void file(void *user, const camrill_recorder_file_t *file) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_file(*file); });
    }

    template <class Function> static int32_t answered(void *user, const Function &function) noexcept
    {
        int32_t answer = CAMRILL_EIO;
        Held &held = Held::of(user);
        held.host->guarded([&] { answer = function(held.config.files); });
        return answer;
    }
    static int32_t open_file(void *user, const char *path, void **file) noexcept
    {
        return answered(user, [&](const FileSink &files) { return files.open(path, file); });
    }
    static int32_t write_file(void *user, void *file, uint64_t offset, const uint8_t *data, size_t size) noexcept
    {
        return answered(user, [&](const FileSink &files) { return files.write(file, offset, data, size); });
    }
    static int32_t close_file(void *user, void *file, int32_t complete) noexcept
    {
        return answered(user, [&](const FileSink &files) { return files.close(file, complete != 0); });
    }
};

// How an ingest is made: camrill_ingest_config_t. `input` is for the usual case of one; with more, `inputs` is.
struct IngestConfig : camrill_ingest_config_t {
    IngestConfig() : camrill_ingest_config_t CAMRILL_INGEST_CONFIG_INIT {}

    const char *input = nullptr;
    std::function<void(const camrill_relay_state_t &state)> on_state;
};

// How a forward is made: camrill_forward_config_t.
struct ForwardConfig : camrill_forward_config_t {
    ForwardConfig() : camrill_forward_config_t CAMRILL_FORWARD_CONFIG_INIT {}

    std::function<void(const camrill_relay_state_t &state)> on_state;
};

namespace detail {

// The callback that ingests and forwards have.
template <class Config> void relay_state(void *user, const camrill_relay_state_t *state) noexcept
{
    Held<Config> &held = Held<Config>::of(user);
    held.host->guarded([&] { held.config.on_state(*state); });
}

} // namespace detail

// A stream that is pulled in.
class Ingest : public detail::Handle<camrill_ingest_t, camrill_ingest_free> {
public:
    Ingest() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Ingest(const Engine &engine, IngestConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, IngestConfig config)
    {
        return make(engine.host(), std::move(config), [](camrill_engine_t *e, IngestConfig &c, camrill_ingest_t **out) {
            camrill_ingest_config_t &raw = c;
            raw.on_state = c.on_state ? detail::relay_state<IngestConfig> : nullptr;
            if (c.input != nullptr && raw.input_count == 0) {
                raw.inputs = &c.input;
                raw.input_count = 1;
            }
            return camrill_ingest_new(e, &raw, out);
        });
    }
    Status info(camrill_relay_info_t &out) const
    {
        out = camrill_relay_info_t();
        out.struct_size = sizeof out;
        return status(camrill_ingest_info(raw_, &out));
    }
};

// A stream that is sent on.
class Forward : public detail::Handle<camrill_forward_t, camrill_forward_free> {
public:
    Forward() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Forward(const Engine &engine, ForwardConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, ForwardConfig config)
    {
        return make(engine.host(), std::move(config), [](camrill_engine_t *e, ForwardConfig &c, camrill_forward_t **out) {
            camrill_forward_config_t &raw = c;
            raw.on_state = c.on_state ? detail::relay_state<ForwardConfig> : nullptr;
            return camrill_forward_new(e, &raw, out);
        });
    }
    Status info(camrill_relay_info_t &out) const
    {
        out = camrill_relay_info_t();
        out.struct_size = sizeof out;
        return status(camrill_forward_info(raw_, &out));
    }
};

// One frame of a stream, shared: copies of this are the same packet, whose bytes go with the last. It outlives its
// player and the engine, and may be used by several threads. [any thread]
class Packet {
public:
    Packet() noexcept = default;
    // Keeps what on_packet was given.
    explicit Packet(camrill_packet_t *raw) noexcept : raw_(raw) { camrill_packet_ref(raw_); }
    Packet(const Packet &other) noexcept : raw_(other.raw_) { camrill_packet_ref(raw_); }
    Packet(Packet &&other) noexcept : raw_(other.raw_) { other.raw_ = nullptr; }
    Packet &operator=(Packet other) noexcept
    {
        std::swap(raw_, other.raw_);
        return *this;
    }
    ~Packet() { camrill_packet_free(raw_); }

    explicit operator bool() const noexcept { return raw_ != nullptr; }
    camrill_packet_t *get() const noexcept { return raw_; }
    // What it is, with its pieces where they lie. All zero where there is no packet.
    camrill_packet_info_t info() const noexcept
    {
        camrill_packet_info_t out = camrill_packet_info_t();
        out.struct_size = sizeof out;
        camrill_packet_info(raw_, &out);
        return out;
    }
    // All its bytes in one piece, valid for as long as the packet is.
    Status data(const uint8_t *&data, std::size_t &size) const noexcept
    {
        return detail::Host::of_thread(camrill_packet_data(raw_, &data, &size));
    }

private:
    camrill_packet_t *raw_ = nullptr;
};

// How a player is made: camrill_player_config_t.
struct PlayerConfig : camrill_player_config_t {
    PlayerConfig() : camrill_player_config_t CAMRILL_PLAYER_CONFIG_INIT {}

    // NULL for a track that isn't there.
    std::function<void(const camrill_track_info_t *video, const camrill_track_info_t *audio)> on_tracks;
    // Keep a copy of the packet for longer.
    std::function<void(const Packet &packet)> on_packet;
    std::function<void(const camrill_relay_state_t &state)> on_state;
};

// Plays a stream of this engine's, or of a URL, to packets.
class Player : public detail::Handle<camrill_player_t, camrill_player_free> {
public:
    Player() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    Player(const Engine &engine, PlayerConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    Status open(const Engine &engine, PlayerConfig config)
    {
        return make(engine.host(), std::move(config), [](camrill_engine_t *e, PlayerConfig &c, camrill_player_t **out) {
            camrill_player_config_t &raw = c;
            raw.on_tracks = c.on_tracks ? tracks : nullptr;
            raw.on_packet = c.on_packet ? packet : nullptr;
            raw.on_state = c.on_state ? detail::relay_state<PlayerConfig> : nullptr;
            return camrill_player_new(e, &raw, out);
        });
    }
    Status pause(bool paused = true) { return status(camrill_player_pause(raw_, paused ? 1 : 0)); }
    Status info(camrill_player_info_t &out) const
    {
        out = camrill_player_info_t();
        out.struct_size = sizeof out;
        return status(camrill_player_info(raw_, &out));
    }

private:
    typedef detail::Held<PlayerConfig> Held;

    static void tracks(void *user, const camrill_track_info_t *video, const camrill_track_info_t *audio) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_tracks(video, audio); });
    }
    static void packet(void *user, camrill_packet_t *raw) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_packet(Packet(raw)); });
    }
};

// How a path is mounted: camrill_http_mount_t.
struct HttpMountConfig : camrill_http_mount_t {
    HttpMountConfig() : camrill_http_mount_t CAMRILL_HTTP_MOUNT_INIT {}

    // Answers with Engine::http_respond() and its like. Where it throws, the client gets 500.
    std::function<void(const camrill_http_request_t &request)> on_request;
    std::function<void(camrill_id_t ticket)> on_writable;
    std::function<void(camrill_id_t ticket)> on_closed;
};

// A path of the web server that the host answers for, until this ends.
class HttpMount {
public:
    HttpMount() noexcept = default;
#ifdef CAMRILL_HPP_EXCEPTIONS
    HttpMount(const Engine &engine, HttpMountConfig config) { open(engine, std::move(config)).or_throw(); }
#endif
    HttpMount(HttpMount &&other) noexcept : host_(std::move(other.host_)), id_(other.id_) { other.id_ = 0; }
    HttpMount &operator=(HttpMount &&other) noexcept
    {
        if (this != &other) {
            reset();
            host_ = std::move(other.host_);
            id_ = other.id_;
            other.id_ = 0;
        }
        return *this;
    }
    HttpMount(const HttpMount &) = delete;
    HttpMount &operator=(const HttpMount &) = delete;
    ~HttpMount() { reset(); }

    Status open(const Engine &engine, HttpMountConfig config)
    {
        const std::shared_ptr<detail::Host> &host = engine.host();
        if (!host || host->engine == nullptr)
            return detail::Host::gone();
        std::unique_ptr<Held> held(new Held(host, std::move(config)));
        camrill_http_mount_t &raw = held->config;
        raw.user = held.get();
        raw.user_free = Held::drop;
        raw.on_request = held->config.on_request ? request : nullptr;
        raw.on_writable = held->config.on_writable ? writable : nullptr;
        raw.on_closed = held->config.on_closed ? closed : nullptr;
        camrill_id_t id = 0;
        Status status = host->status(camrill_http_mount(host->engine, &raw, &id));
        if (status.ok()) {
            held.release();
            reset();
            host_ = host;
            id_ = id;
        }
        return status;
    }
    // Unmounts the path.
    void reset() noexcept
    {
        if (id_ != 0 && host_ && host_->engine != nullptr)
            camrill_http_unmount(host_->engine, id_);
        id_ = 0;
        host_.reset();
    }
    explicit operator bool() const noexcept { return id_ != 0; }
    camrill_id_t id() const noexcept { return id_; }
    // A header field of a request, NULL if there is none.
    static const char *header(const camrill_http_request_t &request, const char *name) noexcept
    {
        return camrill_http_request_header(&request, name);
    }

private:
    typedef detail::Held<HttpMountConfig> Held;

    static void request(void *user, const camrill_http_request_t *request) noexcept
    {
        Held &held = Held::of(user);
        // As whatever becomes of the request: it may be over when this returns.
        camrill_id_t ticket = request->ticket;
        bool done = held.host->guarded([&] { held.config.on_request(*request); });
        if (!done && held.host->engine != nullptr &&
            camrill_http_respond(held.host->engine, ticket, 500, nullptr, nullptr, 0) == CAMRILL_ESTATE)
            camrill_http_end(held.host->engine, ticket);
    }
    static void writable(void *user, camrill_id_t ticket) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_writable(ticket); });
    }
    static void closed(void *user, camrill_id_t ticket) noexcept
    {
        Held &held = Held::of(user);
        held.host->guarded([&] { held.config.on_closed(ticket); });
    }

    std::shared_ptr<detail::Host> host_;
    camrill_id_t id_ = 0;
};

} // namespace camrill

#endif // CAMRILL_HPP
