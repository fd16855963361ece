import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import okhttp3.Call;
import okhttp3.Callback;
import okhttp3.Dispatcher;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.BufferedSink;

/** Carries out one case with OkHttp, with prior knowledge. Arguments: CASE BASE SIZE. */
final class OkClient {
    private final String base;
    private final long size;
    private final OkHttpClient client;

    private OkClient(String base, long size) {
        this.base = base;
        this.size = size;
        Dispatcher dispatcher = new Dispatcher();
        dispatcher.setMaxRequests(1000);
        dispatcher.setMaxRequestsPerHost(1000);
        client = new OkHttpClient.Builder()
                .protocols(List.of(Protocol.H2_PRIOR_KNOWLEDGE))
                .dispatcher(dispatcher)
                .readTimeout(2, TimeUnit.MINUTES)
                .writeTimeout(2, TimeUnit.MINUTES)
                .build();
    }

    public static void main(String[] arguments) throws Exception {
        OkClient run = new OkClient(arguments[1], Long.parseLong(arguments[2]));
        try {
            run.carryOut(arguments[0]);
        } catch (IOException error) {
            System.err.println(error);
            System.exit(1);
        }
        System.exit(0);
    }

    private void carryOut(String name) throws Exception {
        switch (name) {
            case "get" -> text(request("/get").build(), 200, "got it");
            case "head" -> head();
            case "post" -> text(request("/echo").post(RequestBody.create("ping", null)).build(), 200, "ping");
            case "field" -> field();
            case "upload" -> text(request("/digest").post(body(size)).build(), 200, digest(size));
            case "continue" -> text(
                    request("/digest").header("Expect", "100-continue").post(body(size)).build(), 200, digest(size));
            case "download" -> whole("/pattern/" + size, size);
            case "streams" -> streams();
            case "trailers" -> trailers();
            case "interim" -> text(request("/hints").build(), 200, "got it");
            case "cancel" -> cancel();
            case "early" -> text(request("/early").post(body(size)).build(), 413, "too large");
            case "goaway" -> {
                whole("/goaway", 2L * Pattern.BLOCK.length);
                text(request("/unprocessed").build(), 200, "got it");
                text(request("/get").build(), 200, "got it");
            }
            case "drain" -> whole("/halves", 2L * Pattern.BLOCK.length);
            default -> throw new IOException("no such case: " + name);
        }
    }

    private Request.Builder request(String path) {
        return new Request.Builder().url(base + path);
    }

    private static String digest(long size) throws Exception {
        return Pattern.digest(new Pattern(size));
    }

    private static RequestBody body(long size) {
        return new RequestBody() {
            @Override
            public MediaType contentType() {
                return null;
            }

            @Override
            public boolean isOneShot() {
                return true;
            }

            @Override
            public void writeTo(BufferedSink sink) throws IOException {
                Pattern pattern = new Pattern(size);
                byte[] part = new byte[65536];
                for (int read; (read = pattern.read(part, 0, part.length)) >= 0; ) {
                    sink.write(part, 0, read);
                }
            }
        };
    }

    private void text(Request request, int status, String want) throws IOException {
        try (Response response = client.newCall(request).execute()) {
            Pattern.expect("body", response.body().string(), want);
            Pattern.expect("status", response.code(), status);
        }
    }

    private void head() throws IOException {
        try (Response response = client.newCall(request("/get").head().build()).execute()) {
            Pattern.expect("length", response.header("content-length"), "6");
        }
    }

    private void field() throws IOException {
        String large = "x".repeat(30000);
        try (Response response = client.newCall(request("/field").header("x-large", large).build()).execute()) {
            Pattern.expect("field", String.valueOf(response.header("x-large")), large);
        }
    }

    private void whole(String path, long size) throws Exception {
        try (Response response = client.newCall(request(path).build()).execute()) {
            Pattern.expect("digest", Pattern.digest(response.body().byteStream()), digest(size));
        }
    }

    private void trailers() throws IOException {
        Request request = request("/trailers").post(RequestBody.create("body", null)).build();
        try (Response response = client.newCall(request).execute()) {
            Pattern.expect("body", response.body().string(), "body");
            Pattern.expect("trailers", response.trailers().get("checksum") + response.trailers().get("more"), "abc1, 2");
        }
    }

    private void streams() throws Exception {
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            CompletableFuture<String> answer = new CompletableFuture<>();
            client.newCall(request("/item/" + i).build()).enqueue(new Callback() {
                @Override
                public void onFailure(Call call, IOException error) {
                    answer.completeExceptionally(error);
                }

                @Override
                public void onResponse(Call call, Response response) throws IOException {
                    try (response) {
                        answer.complete(response.body().string());
                    } catch (IOException error) {
                        answer.completeExceptionally(error);
                    }
                }
            });
            answers.add(answer);
        }
        for (int i = 0; i < 1000; i++) {
            Pattern.expect("body", answers.get(i).get(2, TimeUnit.MINUTES), "item " + i);
        }
    }

    private void cancel() throws Exception {
        Call call = client.newCall(request("/endless").build());
        try (Response response = call.execute()) {
            InputStream stream = response.body().byteStream();
            for (int i = 0; i < 16; i++) {
                Pattern.expect("part", Arrays.equals(stream.readNBytes(Pattern.BLOCK.length), Pattern.BLOCK), true);
            }
            call.cancel();
        }
        text(request("/get").build(), 200, "got it");
    }
}
