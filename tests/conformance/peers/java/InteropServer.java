import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.testing.integration.TestServiceImpl;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;

/**
 * The test service of the gRPC project on grpc-java, on a free port, which it prints.
 *
 * Each call requires exactly one bearer token. With the argument "revoking", a token carries one call.
 */
public final class InteropServer {
  private static final int LARGEST_MESSAGE = 16 << 20;

  private static final class Tokens implements ServerInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private final Set<String> used = ConcurrentHashMap.newKeySet();
    private final boolean revoking;

    Tokens(boolean revoking) {
      this.revoking = revoking;
    }

    private Status check(Metadata headers) {
      List<String> values = new ArrayList<>();
      Iterable<String> sent = headers.getAll(AUTHORIZATION);
      if (sent != null) {
        sent.forEach(values::add);
      }
      if (values.size() != 1 || !values.get(0).startsWith("Bearer ")) {
        return Status.PERMISSION_DENIED.withDescription(
            values.size() + " values of authorization, not one bearer token");
      }
      if (!used.add(values.get(0)) && revoking) {
        return Status.UNAUTHENTICATED.withDescription("the token was revoked");
      }
      return Status.OK;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      Status status = check(headers);
      if (status.isOk()) {
        return next.startCall(call, headers);
      }
      call.close(status, new Metadata());
      return new ServerCall.Listener<Q>() {};
    }
  }

  public static void main(String[] args) throws Exception {
    boolean revoking = args.length > 0 && args[0].equals("revoking");
    TestServiceImpl service = new TestServiceImpl(Executors.newScheduledThreadPool(2));
    Server server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
        .maxInboundMessageSize(LARGEST_MESSAGE)
        .addService(ServerInterceptors.intercept(service, TestServiceImpl.interceptors()))
        .intercept(new Tokens(revoking))
        .build()
        .start();
    System.out.println(server.getPort());
    server.awaitTermination();
  }
}
