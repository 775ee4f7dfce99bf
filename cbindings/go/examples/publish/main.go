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
	// The encoder's goroutine; the loop has this one.
	go func() {
		begin := time.Now()
		for _, frame := range clip.Frames {
			if len(os.Args) < 4 {
				time.Sleep(time.Until(begin.Add(time.Duration(frame.Dts) * time.Microsecond)))
			}
			if frame.Video {
				err = publisher.WriteVideo(frame.Data, frame.Pts, frame.Dts, 0)
			} else {
				err = publisher.WriteAudio(frame.Data, frame.Pts)
			}
			if err != nil {
				log.Print(err)
			}
		}
		publisher.Close()
		engine.Stop()
	}()
	check(engine.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
