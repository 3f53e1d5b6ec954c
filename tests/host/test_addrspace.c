/* Guest-physical memory: what may be added, what is found, and copies over several ranges. */
#include "hv/addrspace.h"
#include "tests/host/test.h"

static uint8_t low[0x2000], high[0x3000];
static struct addrspace as;
static struct refusal why;

static bool add(uint64_t base, uint64_t size, uint8_t *ptr)
{
	why.text[0] = 0;
	return addrspace_add(
		&as,
		&(struct addr_range){.base = {base}, .size = size, .ptr = ptr, .writable = true},
		&why);
}

/* RAM at 1000-2fff and right behind it at 3000-5fff, a device at 8000. */
static void start(void)
{
	memset(&as, 0, sizeof(as));
	CHECK(add(0x3000, sizeof(high), high));
	CHECK(add(0x8000, 0x1000, NULL));
	CHECK(add(0x1000, sizeof(low), low));
	memset(low, 0x11, sizeof(low));
	memset(high, 0x22, sizeof(high));
}

TEST(sorted_and_found)
{
	start();
	CHECK_EQ(as.count, 3);
	CHECK_EQ(as.range[0].base.v, 0x1000);
	CHECK_EQ(as.range[2].base.v, 0x8000);
	CHECK(!addrspace_find(&as, gpa(0xfff)));
	CHECK(addrspace_find(&as, gpa(0x1000)) == &as.range[0]);
	CHECK(addrspace_find(&as, gpa(0x2fff)) == &as.range[0]);
	CHECK(addrspace_find(&as, gpa(0x3000)) == &as.range[1]);
	CHECK(!addrspace_find(&as, gpa(0x6000)));
	CHECK(addrspace_find(&as, gpa(0x8fff)) == &as.range[2]);
	CHECK(!addrspace_find(&as, gpa(~0ull)));
}

TEST(refused)
{
	start();
	CHECK(!add(0x10000, 0, NULL));
	CHECK(!add(0x10001, 0x1000, NULL));
	CHECK(!add(0x10000, 0x1001, NULL));
	CHECK(strstr(why.text, "whole pages"));
	CHECK(!add(0xfffffffffffff000, 0x2000, NULL));
	CHECK(strstr(why.text, "beyond"));
	CHECK(add(0xfffffffffffff000, 0x1000, NULL)); /* the last page there is */
	CHECK(!add(0x5000, 0x1000, NULL));
	CHECK(!add(0, 0x2000, NULL));
	CHECK(!add(0, 0x100000, NULL));
	CHECK(!add(0x4000, 0x1000, NULL));
	CHECK(strstr(why.text, "0x4000") && strstr(why.text, "0x3000"));
	CHECK_EQ(as.count, 4);
	while (as.count < ADDRSPACE_RANGES) {
		CHECK(add(0x100000 + as.count * 0x1000ull, 0x1000, NULL));
	}
	CHECK(!add(0x900000, 0x1000, NULL));
	CHECK(strstr(why.text, "32"));
}

TEST(pointers)
{
	start();
	CHECK(addrspace_ptr(&as, gpa(0x1004), 0x1ffc) == low + 4);
	CHECK(!addrspace_ptr(&as, gpa(0x1004), 0x1ffd)); /* two ranges */
	CHECK(!addrspace_ptr(&as, gpa(0x1004), ~0ull));
	CHECK(!addrspace_ptr(&as, gpa(0x1004), 0));
	CHECK(!addrspace_ptr(&as, gpa(0x8000), 1)); /* no RAM */
	CHECK(!addrspace_ptr(&as, gpa(0x7000), 1));
}

TEST(copies)
{
	uint8_t buf[0x5000];

	start();
	CHECK(addrspace_read(&as, gpa(0x2ffe), buf, 4));
	CHECK(!memcmp(buf, "\x11\x11\x22\x22", 4));
	CHECK(addrspace_write(&as, gpa(0x2fff), "ab", 2));
	CHECK_EQ(low[0x1fff], 'a');
	CHECK_EQ(high[0], 'b');
	CHECK(addrspace_read(&as, gpa(0x1000), buf, sizeof(buf)));
	CHECK(!addrspace_read(&as, gpa(0x1001), buf, sizeof(buf)));
	CHECK(!addrspace_write(&as, gpa(0x5fff), "ab", 2));
	CHECK(!addrspace_read(&as, gpa(0x8000), buf, 1));
}
