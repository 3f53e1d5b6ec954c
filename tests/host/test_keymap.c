/*
 * Scan codes to what a terminal would send.
 */
#include "hv/console/keymap.h"
#include "test.h"

static struct keymap k;

static const char *typed(const char *codes, unsigned n)
{
	static char text[256];
	unsigned len = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t bytes[KEYMAP_MOST];
		unsigned got = keymap_scan(&k, (uint8_t)codes[i], bytes);

		memcpy(text + len, bytes, got);
		len += got;
	}
	text[len] = 0;
	return text;
}

#define TYPED(codes) (memset(&k, 0, sizeof(k)), typed(codes, sizeof(codes) - 1))

TEST(letters_and_digits)
{
	CHECK_STR(TYPED("\x02\x82\x0b\x10\x1e\x2c\x32\x35\x39\x1c\x0e\x0f\x01"),
		  "10qazm/ \r\177\t\033");
	CHECK_STR(TYPED("\x03\x04\x05\x06\x07\x08\x09\x0a\x0c\x0d\x1a\x1b\x27\x28\x29\x2b\x33\x34"),
		  "23456789-=[];'`\\,.");
	CHECK_STR(TYPED("\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1f\x20\x21\x22\x23\x24\x25\x26"),
		  "wertyuiopsdfghjkl");
	CHECK_STR(TYPED("\x2d\x2e\x2f\x30\x31\x47\x4a\x4e\x53\x37"), "xcvbn7-+.*");
}

TEST(shift_and_caps)
{
	CHECK_STR(TYPED("\x2a\x1e\x02\x2b\xaa\x1e\x02"), "A!|a1");
	CHECK_STR(TYPED("\x36\x1e\xb6\x1e"), "Aa");
	CHECK_STR(TYPED("\x2a\x36\xaa\x1e\xb6\x1e"), "Aa");
	CHECK_STR(TYPED("\x3a\xba\x1e\x02\x2a\x1e\x02\xaa\x3a\xba\x1e"), "A1a!a");
}

TEST(ctrl)
{
	uint8_t bytes[KEYMAP_MOST];

	CHECK_STR(TYPED("\x1d\x1e\x2e\x9d\x02"), "\001\0031");
	CHECK_STR(TYPED("\xe0\x1d\x1e\xe0\x9d\x1e\x1d\x1a\x02"), "\001a\0331");
	keymap_scan(&k, 0x1d, bytes);
	CHECK_EQ(keymap_scan(&k, 0x39, bytes), 1);
	CHECK_EQ(bytes[0], 0);
}

TEST(keys_with_a_prefix)
{
	CHECK_STR(TYPED("\xe0\x48\xe0\xc8\xe0\x50\xe0\x4d\xe0\x4b"), "\033[A\033[B\033[C\033[D");
	/* Insert with Num Lock on: a shift that is none around it. */
	CHECK_STR(TYPED("\xe0\x2a\xe0\x52\xe0\xd2\xe0\xaa\x1e"), "\033[2~a");
	CHECK_STR(TYPED("\xe0\x1c\xe0\x35\xe0\x5b\xe0\x38"), "\r/");
	CHECK_STR(TYPED("\xe1\x1d\x45\xe1\x9d\xc5\x1e"), "a"); /* Pause */
}

TEST(everything_else_is_nothing)
{
	CHECK_STR(TYPED("\x38\x3b\x44\x45\x46\x54\x56\x57\x58\x7f\xff\xfa\xfe\x00"), "");
	memset(&k, 0, sizeof(k));
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t bytes[KEYMAP_MOST];

		CHECK(keymap_scan(&k, (uint8_t)(i >> 8), bytes) <= KEYMAP_MOST);
		CHECK(keymap_scan(&k, (uint8_t)i, bytes) <= KEYMAP_MOST);
	}
}
