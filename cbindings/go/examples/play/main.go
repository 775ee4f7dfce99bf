// Plays a URL or a file to frames: counts them, and writes the video to a file that ffplay takes.
//
//	go run ./examples/play rtmp://127.0.0.1/live/camera [OUT.h264]
package main

import (
	"fmt"
	"log"
	"os"

	"camrill"
)

func main() {
	engine, err := camrill.New(camrill.EngineConfig{})
	check(err)
	defer engine.Close()
	out := os.Stdout
	if len(os.Args) > 2 {
		out, err = os.Create(os.Args[2])
		check(err)
		defer out.Close()
	}
	pictures, sounds := 0, 0
	_, err = engine.Play(camrill.PlayerConfig{
		URL:   os.Args[1],
		Retry: camrill.Retry{Tries: 3},
		OnPacket: func(packet *camrill.Packet) {
			defer packet.Close()
			if packet.Track != camrill.TrackVideo {
				sounds++
				return
			}
			pictures++
			if out != os.Stdout {
				if _, err := out.Write(packet.Data()); err != nil {
					panic(err) // comes out of Run
				}
			}
		},
		OnState: func(state camrill.RelayState) {
			fmt.Println(state.State, state.Reason)
			if state.State == camrill.RelayEnded {
				engine.Stop()
			}
		},
	})
	check(err)
	check(engine.Run())
	fmt.Printf("%d pictures, %d sounds\n", pictures, sounds)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
