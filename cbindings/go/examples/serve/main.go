// A server with a configuration in SRS's syntax; Ctrl-C stops it.
//
//	go run ./examples/serve FILE.conf
package main

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"camrill"
)

func main() {
	engine, err := camrill.New(camrill.EngineConfig{OnEvent: func(event camrill.Event) {
		fmt.Println(event.Type, event.App, event.Name, event.Address, event.Reason)
	}})
	check(err)
	defer engine.Close()
	check(engine.LoadFile(os.Args[1]))
	check(engine.Apply())
	port, err := engine.Port("rtmp")
	check(err)
	fmt.Println("RTMP at port", port)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		engine.Stop()
	}()
	check(engine.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
