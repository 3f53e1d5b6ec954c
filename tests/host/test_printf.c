/*
 * hv/lib/printf.c against libc's, for all that it understands; and what it does not.
 */
#include "hv/lib/printf.h"
#include "test.h"
#include <limits.h>

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char own_[200], libc_[200];                                                        \
		size_t n_ = fmt_print(own_, sizeof(own_), __VA_ARGS__);                            \
		CHECK_EQ(n_, snprintf(libc_, sizeof(libc_), __VA_ARGS__));                         \
		CHECK_STR(own_, libc_);                                                            \
	} while (0)

TEST(as_libc)
{
	SAME("%d %d %d", 0, -1, INT_MIN);
	SAME("%ld %lu %lx", LONG_MIN, ULONG_MAX, 0xdeadbeefcafeul);
	SAME("[%5d] [%05d] [%1d] [%3u]", -3, -3, 1234, 7u);
	SAME("%u %x %08x %02x:%02x.%x", 4u, 0u, 0xabcu, 1, 2, 3);
	SAME("%03lu %012lx", 7ul, 0x123ul);
	SAME("[%s] [%10s] [%.3s] [%.*s] [%5.2s]", "abc", "de", "abcdef", 2, "xyz", "hello");
	SAME("%c%c%%", 'a', 'b');
}

TEST(room)
{
	char text[8] = "1234567";

	CHECK_EQ(fmt_print(text, 4, "%s", "abcdef"), 6);
	CHECK_STR(text, "abc");
	CHECK_EQ(text[4], '5');
	CHECK_EQ(fmt_print(text, 0, "%u", 12345u), 5);
	CHECK_STR(text, "abc");
	fmt_append(text, 6, "%s", "defg");
	CHECK_STR(text, "abcde");
	fmt_append(text, 6, "%s", "x");
	CHECK_STR(text, "abcde");
}

TEST(not_understood)
{
	char unknown[] = "%q %-3d %"; /* no constant: the compiler would know better */
	char text[40];

	fmt_print(text, sizeof(text), unknown);
	CHECK_STR(text, "%q %-3d %");
}
