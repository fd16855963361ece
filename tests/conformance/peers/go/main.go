// The test service of the gRPC project on grpc-go, on a free port of loopback, which it prints.
//
// Each call requires exactly one bearer token. With the argument "revoking", a token carries one call.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const largestMessage = 16 << 20

type tokens struct {
	revoking bool
	mutex    sync.Mutex
	used     map[string]bool
}

func (t *tokens) check(ctx context.Context) error {
	fields, _ := metadata.FromIncomingContext(ctx)
	values := fields.Get("authorization")
	if len(values) != 1 || !strings.HasPrefix(values[0], "Bearer ") {
		return status.Errorf(codes.PermissionDenied, "%d values of authorization, not one bearer token", len(values))
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.revoking && t.used[values[0]] {
		return status.Error(codes.Unauthenticated, "the token was revoked")
	}
	t.used[values[0]] = true
	return nil
}

func (t *tokens) unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := t.check(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, request)
}

func (t *tokens) stream(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := t.check(stream.Context()); err != nil {
		return err
	}
	return handler(service, stream)
}

func main() {
	accepted := &tokens{revoking: len(os.Args) > 1 && os.Args[1] == "revoking", used: map[string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(largestMessage),
		grpc.UnaryInterceptor(accepted.unary),
		grpc.StreamInterceptor(accepted.stream),
	)
	pb.RegisterTestServiceServer(server, interop.NewTestServer())
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.Serve(listener))
}
