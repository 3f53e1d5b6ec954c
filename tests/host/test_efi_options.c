/*
 * The UEFI loader's load options: words, whole boot variables, noise.
 */
#include "boot/efi/options.h"
#include "hv/lib/bytes.h"
#include "tests/host/test.h"

static struct refusal why;
static struct options options;

static const char *options_of(const char *text)
{
	uint8_t wide[2 * 8192];
	size_t n = strlen(text) + 1;

	for (size_t i = 0; i < n; i++) {
		put_le16(wide + 2 * i, (uint8_t)text[i]);
	}
	memset(&why, 0, sizeof(why));
	return options_parse(&options, wide, 2 * n, &why) ? options.cmdline : why.text;
}

TEST(options_words)
{
	CHECK_STR(options_of(""), "");
	CHECK_STR(options_of("  console=com2\tiommu=off "), "console=com2 iommu=off");
	CHECK_STR(options.config, "");
	CHECK_STR(options_of("config=safe.conf"), "");
	CHECK_STR(options.config, "safe.conf");
	CHECK_STR(options_of("FS0:\\EFI\\BOOT\\BootX64.EFI config=a.conf x"), "x");
	CHECK_STR(options.config, "a.conf");
	CHECK_STR(options_of("x y.efi"), "x y.efi");
	CHECK_STR(options_of(".ef"), ".ef");
}

TEST(options_refused)
{
	char text[4096];

	CHECK_STR(options_of("config="), "the option config= names no file; give a name without "
					 "its directory, such as config=safe.conf");
	CHECK(strstr(options_of("config=a/b.conf"), "names no file"));
	CHECK(strstr(options_of("config=\\b.conf"), "names no file"));
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	CHECK_STR(options_of(text), "a word of the load options is too long");
	memcpy(text, "config=", 7);
	text[7 + MAX_FILE] = 0;
	CHECK(strstr(options_of(text), "names no file"));
	for (unsigned i = 0; i < sizeof(text) - 1; i++) {
		text[i] = i % 2 ? ' ' : 'a';
	}
	CHECK_STR(options_of(text), "the load options are too long; at most 2047 bytes");
}

static const char *harmless(const char *text, bool dropped)
{
	options_of(text);
	CHECK_EQ(options_keep_harmless(&options), dropped);
	return options.cmdline;
}

TEST(options_harmless)
{
	CHECK_STR(harmless("", false), "");
	CHECK_STR(harmless("safe report", false), "safe report");
	CHECK_STR(harmless("iommu=off safe console=none report safety", true), "safe report");
	CHECK_STR(harmless("unsafe", true), "");
	CHECK_STR(harmless("safe=no report", true), "report");
}

/* What is not text, as firmware puts into its own entries, counts as nothing. */
TEST(options_noise)
{
	uint8_t noise[64];

	for (unsigned seed = 1; seed < 64; seed++) {
		for (unsigned i = 0; i < sizeof(noise); i++) {
			noise[i] = (uint8_t)(0x80 | (i * seed));
		}
		memset(&why, 0, sizeof(why));
		CHECK(options_parse(&options, noise, sizeof(noise) - seed % 3, &why));
		CHECK_STR(options.cmdline, "");
		CHECK(options.noise);
	}
	CHECK(options_parse(&options, NULL, 40, &why));
	CHECK(options_parse(&options, NULL, 0, &why));
	CHECK(!options.noise);
	CHECK_STR(options.cmdline, "");
	CHECK(options_parse(&options, "c\0o\0n", 5, &why)); /* half a character at its end */
	CHECK_STR(options.cmdline, "co");
}

/* efibootmgr without --unicode. */
TEST(options_in_ascii)
{
	static const char text[] = "config=safe.conf report";

	CHECK(options_parse(&options, text, sizeof(text) - 1, &why));
	CHECK_STR(options.config, "safe.conf");
	CHECK_STR(options.cmdline, "report");
	CHECK(options_parse(&options, text, sizeof(text), &why));
	CHECK_STR(options.cmdline, "report");
	CHECK(options_parse(&options, "a\0\1\0", 4, &why)); /* wide, and none */
	CHECK_STR(options.cmdline, "");
	CHECK(options.noise);
	CHECK(options_parse(&options, "\0\0", 2, &why));
	CHECK(!options.noise);
}

/* The whole of a variable Boot####: its last part counts, and none of it when it is not sound. */
TEST(options_in_a_boot_variable)
{
	static const uint8_t variable[] = {
		1,   0, 0,   0, 10,  0,			  /* active; bytes of the path */
		'M', 0, 'y', 0, 0,   0,			  /* the description */
		4,   4, 6,   0, 'x', 0, 0x7f, 0xff, 4, 0, /* a node, the end node */
		's', 0, 'a', 0, 'f', 0, 'e',  0,    0, 0, /* the options */
	};
	uint8_t copy[sizeof(variable)];

	CHECK(options_parse(&options, variable, sizeof(variable), &why));
	CHECK_STR(options.cmdline, "safe");
	CHECK(options_parse(&options, variable, 22, &why)); /* none behind it */
	CHECK_STR(options.cmdline, "");
	for (size_t size = 0; size < sizeof(variable); size++) {
		uint8_t *exact = malloc(size + 1) + 1;

		memcpy(exact, variable, size);
		CHECK(options_parse(&options, exact, size, &why));
		CHECK(size > 22 || !options.cmdline[0]);
		free(exact - 1);
	}
	for (size_t i = 0; i < 22; i++) {
		memcpy(copy, variable, sizeof(copy));
		copy[i] ^= 0x80;
		CHECK(options_parse(&options, copy, sizeof(copy), &why));
		CHECK(i == 6 || i == 7 || i == 8 || i == 9 || (i >= 12 && i < 18) ||
		      !options.cmdline[0]);
	}
}
