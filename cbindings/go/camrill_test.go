package camrill

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"camrill/internal/flv"
)

const clipPath = "../../assets/clip.flv"

func clip(t *testing.T) *flv.Clip {
	read, err := flv.Read(clipPath)
	good(t, err)
	if len(read.Frames) < 600 {
		t.Fatal("the clip has", len(read.Frames), "frames")
	}
	return read
}

func good(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func serving(t *testing.T, config EngineConfig) *Engine {
	t.Helper()
	engine, err := New(config)
	good(t, err)
	good(t, engine.Set("listen", "127.0.0.1:0"))
	good(t, engine.Apply())
	return engine
}

func until(t *testing.T, done func() bool, engines ...*Engine) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("it did not come")
		}
		for _, engine := range engines {
			good(t, engine.Poll(2))
		}
	}
}

func publisherOf(t *testing.T, engine *Engine, from *flv.Clip) *Publisher {
	t.Helper()
	publisher, err := engine.Publish(PublisherConfig{App: "live", Name: "camera", NeedKeyframe: func() {},
		Tracks: Tracks{VideoCodec: CodecH264, VideoFormat: FormatLengthPrefixed, VideoConfig: from.VideoConfig,
			AudioCodec: CodecAAC, AudioConfig: from.AudioConfig}})
	good(t, err)
	return publisher
}

// write writes all frames, and polls the engine between them: the queue holds few.
func write(t *testing.T, publisher *Publisher, from *flv.Clip) {
	t.Helper()
	for _, frame := range from.Frames {
		good(t, publisher.engine.Poll(0))
		if frame.Video {
			good(t, publisher.WriteVideo(frame.Data, frame.Pts, frame.Dts, 0))
		} else {
			good(t, publisher.WriteAudio(frame.Data, frame.Pts))
		}
	}
}

// framesOf are packets as frames.
func framesOf(packets []*Packet) (frames []flv.Frame) {
	for _, packet := range packets {
		frames = append(frames, flv.Frame{Video: packet.Track == TrackVideo, Pts: packet.Pts, Dts: packet.Dts,
			Data: packet.Data()})
	}
	return
}

func same(t *testing.T, came, sent []flv.Frame) {
	t.Helper()
	if len(came) != len(sent) {
		t.Fatalf("%d frames came, %d were sent", len(came), len(sent))
	}
	for n := range sent {
		if !reflect.DeepEqual(came[n], sent[n]) {
			t.Fatalf("frame %d of %d bytes at %d differs: %d bytes at %d", n, len(sent[n].Data), sent[n].Pts,
				len(came[n].Data), came[n].Pts)
		}
	}
}

func TestErrorsHaveTheLibrarysSentence(t *testing.T) {
	engine, err := New(EngineConfig{})
	good(t, err)
	err = engine.Set("vhost/a/play/queue_length", "many")
	if !IsCode(err, ECONFIG) || !strings.Contains(err.Error(), "queue_length") {
		t.Fatal(err)
	}
	if _, err = New(EngineConfig{LogLevel: 99}); !IsCode(err, EINVAL) || !strings.Contains(err.Error(), "log_level") {
		t.Fatal(err)
	}
	if _, err = engine.Get("no/such/path"); !IsCode(err, ENOENT) {
		t.Fatal(err)
	}
	good(t, engine.Revert())
	good(t, engine.LoadText("a text", "listen 127.0.0.1:0;"))
	good(t, engine.Check())
	if value, err := engine.Get("listen"); err != nil || value != "127.0.0.1:0" {
		t.Fatal(value, err)
	}
	if text, err := engine.Print(); err != nil || !strings.Contains(text, "127.0.0.1:0") {
		t.Fatal(text, err)
	}
	publisher := publisherOf(t, engine, clip(t))
	if err = publisher.WriteVideo([]byte{1, 2, 3}, 0, 0, 0); !IsCode(err, EFRAME) {
		t.Fatal(err)
	}
	if _, err = engine.Publish(publisher.config); !IsCode(err, EBUSY) {
		t.Fatal(err)
	}
	if _, err = engine.Play(PlayerConfig{URL: "ftp://nowhere", OnPacket: func(*Packet) {}}); !IsCode(err, EINVAL) {
		t.Fatal(err)
	}
	engine.Close()
	if err = publisher.WriteVideo(clip(t).Frames[0].Data, 0, 0, 0); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
	publisher.Close()
	if err = publisher.WriteVideo(nil, 0, 0, 0); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
	if err = engine.Poll(0); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
}

func TestPanicsComeOutOfTheLoop(t *testing.T) {
	engine := serving(t, EngineConfig{OnEvent: func(event Event) { panic(event.Name) }})
	defer engine.Close()
	publisher := publisherOf(t, engine, clip(t))
	defer publisher.Close()
	var panicked *PanicError
	if err := engine.Run(); !errors.As(err, &panicked) || panicked.Value != "camera" || len(panicked.Stack) == 0 {
		t.Fatal(err)
	}
	good(t, engine.Call(func() { panic(errors.New("in a call")) }))
	if err := engine.Run(); err == nil || !strings.Contains(err.Error(), "in a call") {
		t.Fatal(err)
	}
	good(t, engine.Call(engine.Stop))
	good(t, engine.Run())
}

func TestWhoseAdmissionPanicsIsRefused(t *testing.T) {
	there := serving(t, EngineConfig{OnAdmission: func(Admission) int { panic("no") }})
	defer there.Close()
	here := serving(t, EngineConfig{})
	defer here.Close()
	port, err := there.Port("rtmp")
	good(t, err)
	reason := ""
	player, err := here.Play(PlayerConfig{URL: fmt.Sprintf("rtmp://127.0.0.1:%d/live/camera", port),
		Retry: Retry{Tries: 1}, OnPacket: func(*Packet) {}, OnState: func(state RelayState) { reason = state.Reason }})
	good(t, err)
	defer player.Close()
	panics := 0
	until(t, func() bool {
		if there.Poll(2) != nil {
			panics++
		}
		return reason != ""
	}, here)
	if panics == 0 {
		t.Fatal("nobody asked")
	}
}

func TestRtmpdumpReadsWhatIsPublished(t *testing.T) {
	plays := false
	engine := serving(t, EngineConfig{OnEvent: func(event Event) { plays = plays || event.Type == EventPlay }})
	defer engine.Close()
	port, err := engine.Port("rtmp")
	good(t, err)
	path := filepath.Join(t.TempDir(), "out.flv")
	url := fmt.Sprintf("rtmp://127.0.0.1:%d/live/camera", port)
	dump := exec.Command("stdbuf", "-o0", "rtmpdump", "-q", "-v", "-r", url, "-o", "-")
	dump.Stdout, err = os.Create(path)
	good(t, err)
	good(t, dump.Start())
	defer func() {
		_ = dump.Process.Kill()
		_ = dump.Wait()
	}()
	until(t, func() bool { return plays }, engine)
	sent := clip(t)
	publisher := publisherOf(t, engine, sent)
	defer publisher.Close()
	write(t, publisher, sent)
	var came *flv.Clip
	until(t, func() bool {
		if info, err := os.Stat(path); err != nil || info.Size() < 13 {
			return false
		}
		came, err = flv.Read(path)
		return err == nil && len(came.Frames) >= len(sent.Frames)
	}, engine)
	same(t, came.Frames, sent.Frames)
	if !reflect.DeepEqual(came.VideoConfig, sent.VideoConfig) || !reflect.DeepEqual(came.AudioConfig, sent.AudioConfig) {
		t.Fatal("the configurations differ")
	}
	streams, err := engine.Streams()
	good(t, err)
	if len(streams) != 1 || streams[0].Name != "camera" || streams[0].Width != 640 {
		t.Fatal(streams)
	}
	stats, err := engine.Stats()
	good(t, err)
	if stats.Players != 1 || stats.Publishers != 1 {
		t.Fatal(stats)
	}
}

func TestAPlayerGetsWhatIsPublished(t *testing.T) {
	engine := serving(t, EngineConfig{})
	var packets []*Packet
	var tracks []*TrackInfo
	player, err := engine.Play(PlayerConfig{App: "live", Name: "camera", Flags: PlayerStored,
		OnPacket: func(packet *Packet) { packets = append(packets, packet) },
		OnTracks: func(video, audio *TrackInfo) { tracks = append(tracks, video, audio) }})
	good(t, err)
	sent := clip(t)
	publisher := publisherOf(t, engine, sent)
	// The encoder is another goroutine, and so another thread. It is asked for each frame: the queue holds few.
	next, wrote := make(chan flv.Frame), make(chan error)
	go func() {
		for frame := range next {
			wrote <- publisher.Write(map[bool]int{true: CodecH264, false: CodecAAC}[frame.Video], frame.Data,
				frame.Pts, frame.Dts, 0)
		}
	}()
	for _, frame := range sent.Frames {
		next <- frame
		good(t, engine.Poll(0))
		good(t, <-wrote)
	}
	close(next)
	until(t, func() bool { return len(packets) >= len(sent.Frames) }, engine)
	good(t, player.Pause(true))
	good(t, player.Pause(false))
	if tracks[0].Width != 640 || tracks[0].Height != 360 || !reflect.DeepEqual(tracks[0].Config, sent.VideoConfig) ||
		!reflect.DeepEqual(tracks[1].Config, sent.AudioConfig) {
		t.Fatal(*tracks[0], *tracks[1])
	}
	engine.Close()
	publisher.Close()
	player.Close()
	// Packets outlive all that they came of.
	same(t, framesOf(packets), sent.Frames)
	if packets[0].Flags != PacketKey {
		t.Fatal(packets[0])
	}
	packets[0].Close()
	if packets[0].Data() != nil {
		t.Fatal("a closed packet has bytes")
	}
}

func TestAFilePlaysToItsEnd(t *testing.T) {
	engine := serving(t, EngineConfig{})
	defer engine.Close()
	var packets []*Packet
	player, err := engine.Play(PlayerConfig{URL: clipPath, Flags: PlayerStored, Retry: Retry{Tries: 1},
		OnPacket: func(packet *Packet) { packets = append(packets, packet) },
		OnState: func(state RelayState) {
			if state.State == RelayEnded {
				engine.Stop()
			}
		}})
	good(t, err)
	defer player.Close()
	good(t, engine.Run())
	same(t, framesOf(packets), clip(t).Frames)
}

func TestAStreamIsPulledForwardedAndRecorded(t *testing.T) {
	there, here := serving(t, EngineConfig{}), serving(t, EngineConfig{})
	defer there.Close()
	defer here.Close()
	port, err := there.Port("rtmp")
	good(t, err)
	ingest, err := here.Ingest(IngestConfig{App: "live", Name: "camera", Inputs: []string{clipPath}, Flags: IngestLoop})
	good(t, err)
	defer ingest.Close()
	running := false
	forward, err := here.Forward(ForwardConfig{App: "live", Name: "camera",
		URL:     fmt.Sprintf("rtmp://127.0.0.1:%d/live/copy", port),
		OnState: func(state RelayState) { running = running || state.State == RelayRunning }})
	good(t, err)
	defer forward.Close()
	var files []RecorderFile
	path := filepath.Join(t.TempDir(), "a.flv")
	recorder, err := there.Record(RecorderConfig{App: "live", Name: "copy", Path: path,
		OnFile: func(file RecorderFile) { files = append(files, file) }})
	good(t, err)
	defer recorder.Close()
	until(t, func() bool {
		streams, err := there.Streams()
		good(t, err)
		return running && len(streams) == 1 && streams[0].VideoFrames > 10
	}, here, there)
	good(t, recorder.Stop())
	until(t, func() bool { return len(files) == 2 }, here, there)
	good(t, recorder.Start())
	if files[1].What != RecorderClosed || files[1].Path != path {
		t.Fatal(files)
	}
	if recorded, err := flv.Read(path); err != nil || len(recorded.Frames) < 10 {
		t.Fatal(err)
	}
}

func TestCallsAreBounded(t *testing.T) {
	engine := serving(t, EngineConfig{})
	count := 0
	for engine.Call(func() {}) == nil {
		count++
	}
	if err := engine.Call(func() {}); count != 1024 || !errors.Is(err, ErrAgain) {
		t.Fatal(count, err)
	}
	engine.Close()
	if len(engine.calls.waiting) != 0 {
		t.Fatal("calls wait for an engine that is closed")
	}
}

func TestAnEngineIsClosedInsideItsCallback(t *testing.T) {
	engine := serving(t, EngineConfig{})
	good(t, engine.Call(engine.Close))
	good(t, engine.Run())
	if engine.raw != nil {
		t.Fatal("it is there")
	}
}

func resident(t *testing.T) int {
	runtime.GC()
	runtime.GC() // what finalizers let go
	text, err := os.ReadFile("/proc/self/statm")
	good(t, err)
	var all, pages int
	_, err = fmt.Sscan(string(text), &all, &pages)
	good(t, err)
	return pages * os.Getpagesize()
}

func TestEnginesComeAndGoInBoundedMemory(t *testing.T) {
	sent := clip(t)
	sent.Frames = sent.Frames[:200]
	once := func() {
		engine := serving(t, EngineConfig{OnEvent: func(Event) {}})
		got := 0
		player, err := engine.Play(PlayerConfig{App: "live", Name: "camera", OnPacket: func(packet *Packet) {
			got++
			packet.Close()
		}})
		good(t, err)
		publisher := publisherOf(t, engine, sent)
		write(t, publisher, sent)
		until(t, func() bool { return got >= len(sent.Frames) }, engine)
		good(t, engine.Call(func() {})) // never runs
		engine.Close()
		player.Close()
		publisher.Close()
	}
	for n := 0; n < 30; n++ {
		once()
	}
	before := resident(t)
	for n := 0; n < 100; n++ {
		once()
	}
	if more := resident(t) - before; more > 8<<20 {
		t.Fatal(more, "bytes more")
	}
}
