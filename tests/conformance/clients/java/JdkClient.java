import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Carries out one case with java.net.http over TLS. Arguments: CASE BASE SIZE CERTIFICATES. */
final class JdkClient {
    private final String base;
    private final long size;
    private final HttpClient client;

    private JdkClient(String base, long size, Path certificates) throws Exception {
        this.base = base;
        this.size = size;
        client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_2)
                .sslContext(trusting(certificates))
                .build();
    }

    public static void main(String[] arguments) throws Exception {
        JdkClient run = new JdkClient(arguments[1], Long.parseLong(arguments[2]), Path.of(arguments[3]));
        try {
            run.carryOut(arguments[0]);
        } catch (IOException | ExecutionException error) {
            System.err.println(error);
            System.exit(1);
        }
        System.exit(0);
    }

    private static SSLContext trusting(Path certificates) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream file = Files.newInputStream(certificates)) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return context;
    }

    private void carryOut(String name) throws Exception {
        BodyPublisher body = BodyPublishers.ofInputStream(() -> new Pattern(size));
        switch (name) {
            case "get" -> text(request("/get").build(), 200, "got it");
            case "head" -> head();
            case "post" -> text(request("/echo").POST(BodyPublishers.ofString("ping")).build(), 200, "ping");
            case "field" -> field();
            case "upload" -> text(request("/digest").POST(body).build(), 200, digest(size));
            case "continue" -> text(request("/digest").expectContinue(true).POST(body).build(), 200, digest(size));
            case "download" -> whole(request("/pattern/" + size).build(), size);
            case "both" -> whole(request("/echo").POST(body).build(), size);
            case "streams" -> streams();
            case "cancel" -> cancel();
            case "early" -> text(request("/early").POST(body).build(), 413, "too large");
            case "goaway" -> {
                whole(request("/goaway").build(), 2L * Pattern.BLOCK.length);
                text(request("/unprocessed").build(), 200, "got it");
                text(request("/get").build(), 200, "got it");
            }
            case "drain" -> whole(request("/halves").build(), 2L * Pattern.BLOCK.length);
            default -> throw new IOException("no such case: " + name);
        }
    }

    private HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(base + path));
    }

    private static String digest(long size) throws Exception {
        return Pattern.digest(new Pattern(size));
    }

    private static void check(HttpResponse<?> response) throws IOException {
        Pattern.expect("version", response.version(), HttpClient.Version.HTTP_2);
    }

    private void text(HttpRequest request, int status, String want) throws Exception {
        HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
        check(response);
        Pattern.expect("body", response.body(), want);
        Pattern.expect("status", response.statusCode(), status);
    }

    private void head() throws Exception {
        HttpRequest request = request("/get").method("HEAD", BodyPublishers.noBody()).build();
        HttpResponse<Void> response = client.send(request, BodyHandlers.discarding());
        Pattern.expect("length", response.headers().firstValue("content-length").orElse(""), "6");
    }

    private void field() throws Exception {
        String large = "x".repeat(30000);
        HttpRequest request = request("/field").header("x-large", large).build();
        HttpResponse<Void> response = client.send(request, BodyHandlers.discarding());
        Pattern.expect("field", response.headers().firstValue("x-large").orElse(""), large);
    }

    private void whole(HttpRequest request, long size) throws Exception {
        HttpResponse<InputStream> response = client.send(request, BodyHandlers.ofInputStream());
        check(response);
        try (InputStream stream = response.body()) {
            Pattern.expect("digest", Pattern.digest(stream), digest(size));
        }
    }

    private void streams() throws Exception {
        text(request("/get").build(), 200, "got it"); // so that one connection is there
        List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            answers.add(client.sendAsync(request("/item/" + i).build(), BodyHandlers.ofString()));
            if (i >= 100) {
                answers.get(i - 100).get(2, TimeUnit.MINUTES);
            }
        }
        for (int i = 0; i < 1000; i++) {
            Pattern.expect("body", answers.get(i).get(2, TimeUnit.MINUTES).body(), "item " + i);
        }
    }

    private void cancel() throws Exception {
        HttpResponse<InputStream> response = client.send(request("/endless").build(), BodyHandlers.ofInputStream());
        try (InputStream stream = response.body()) {
            for (int i = 0; i < 16; i++) {
                byte[] part = stream.readNBytes(Pattern.BLOCK.length);
                Pattern.expect("part", Arrays.equals(part, Pattern.BLOCK), true);
            }
        }
        text(request("/get").build(), 200, "got it");
    }
}
