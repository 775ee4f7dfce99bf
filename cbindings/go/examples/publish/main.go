// Publishes an FLV file as an encoder would its frames, in real time or as fast as it goes.
//
//	go run ./examples/publish FILE.flv [PORT] [fast]      then: ffplay rtmp://127.0.0.1:PORT/live/camera
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"camrill"
	"camrill/internal/flv"
)

func main() {
	clip, err := flv.Read(os.Args[1])
	check(err)
	port := "1935"
	if len(os.Args) > 2 {
		port = os.Args[2]
	}
	engine, err := camrill.New(camrill.EngineConfig{
		OnLog: func(level int, client uint32, line string) { fmt.Println(line) },
	})
	check(err)
	defer engine.Close()
	check(engine.Set("listen", port))
	check(engine.Apply())
	publisher, err := engine.Publish(camrill.PublisherConfig{App: "live", Name: "camera", Tracks: camrill.Tracks{
		VideoCodec:  camrill.CodecH264,
		VideoFormat: camrill.FormatLengthPrefixed,
		VideoConfig: clip.VideoConfig,
		AudioCodec:  camrill.CodecAAC,
		AudioConfig: clip.AudioConfig,
	}})
	check(err)
	// An encoder would have a goroutine of its own. This writes where the loop runs, so that however fast it goes
	// the queue is never full.
	begin := time.Now()
	for _, frame := range clip.Frames {
		due := begin.Add(time.Duration(frame.Dts) * time.Microsecond)
		for wait := time.Until(due); len(os.Args) < 4 && wait > 0; wait = time.Until(due) {
			check(engine.Poll(int(wait.Milliseconds()) + 1))
		}
		if frame.Video {
			check(publisher.WriteVideo(frame.Data, frame.Pts, frame.Dts, 0))
		} else {
			check(publisher.WriteAudio(frame.Data, frame.Pts))
		}
		check(engine.Poll(0))
	}
	publisher.Close()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
