// SPDX-License-Identifier: MIT

// schemaregistry: franz-go's schema registry for tests, on a port of its own, which it prints. It keeps everything in memory, and
// takes any schema for compatible.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, srfake.NewRegistry().Handler()))
}
