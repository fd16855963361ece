import java.io.IOException;
import java.io.InputStream;
import java.security.MessageDigest;
import java.util.HexFormat;

/** The bodies of upstream.py, read as a stream. */
final class Pattern extends InputStream {
    static final byte[] BLOCK = new byte[65521];

    static {
        for (int i = 0; i < BLOCK.length; i++) {
            BLOCK[i] = (byte) (i * 7 + i / 251);
        }
    }

    private int at;
    private long left;

    Pattern(long size) {
        left = size;
    }

    @Override
    public int read() {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int offset, int length) {
        if (left == 0) {
            return -1;
        }
        int size = (int) Math.min(Math.min(length, BLOCK.length - at), left);
        System.arraycopy(BLOCK, at, into, offset, size);
        at = (at + size) % BLOCK.length;
        left -= size;
        return size;
    }

    /** Return the SHA-256 of a stream. */
    static String digest(InputStream stream) throws Exception {
        MessageDigest sum = MessageDigest.getInstance("SHA-256");
        byte[] part = new byte[65536];
        for (int size; (size = stream.read(part)) >= 0; ) {
            sum.update(part, 0, size);
        }
        return HexFormat.of().formatHex(sum.digest());
    }

    static void expect(String what, Object got, Object want) throws IOException {
        if (!got.equals(want)) {
            throw new IOException(what + " is " + cut(got) + ", not " + cut(want));
        }
    }

    private static String cut(Object value) {
        String text = value.toString();
        return text.length() > 200 ? text.substring(0, 200) : text;
    }
}
