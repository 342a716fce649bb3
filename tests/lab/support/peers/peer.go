// peer send ADDRESS:PORT BYTES sends so many bytes, and prints what comes back.
// peer serve ADDRESS:PORT takes one connection, and answers with the number of its bytes.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
		return
	}
	size, err := strconv.ParseInt(os.Args[3], 10, 64)
	insist(err)
	send(os.Args[2], size)
}

func send(address string, size int64) {
	connection, err := net.Dial("tcp", address)
	insist(err)
	piece := make([]byte, 1<<16)
	for size > 0 {
		if int64(len(piece)) > size {
			piece = piece[:size]
		}
		done, err := connection.Write(piece)
		insist(err)
		size -= int64(done)
	}
	insist(connection.(*net.TCPConn).CloseWrite())
	_, err = io.Copy(os.Stdout, connection)
	insist(err)
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	insist(err)
	connection, err := listener.Accept()
	insist(err)
	size, err := io.Copy(io.Discard, connection)
	insist(err)
	fmt.Fprintln(connection, size)
	connection.Close()
}

func insist(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
