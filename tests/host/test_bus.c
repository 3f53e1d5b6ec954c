/*
 * hv/bus.c: claims sorted and refused, whole accesses passed on, wide and straddling ones split.
 */
#include "hv/bus.h"
#include "tests/fake/rng.h"
#include "tests/host/test.h"

/* A device of 256 bytes that notes its accesses as "r4@10 ". */
struct memory {
	uint8_t byte[256];
	char log[256];
};

static void memory_access(void *dev, struct bus_access *a)
{
	struct memory *m = dev;
	size_t len = strlen(m->log);

	snprintf(m->log + len, sizeof(m->log) - len, "%c%u@%x ", a->write ? 'w' : 'r', a->size,
		 (unsigned)a->offset);
	if (!a->write) {
		a->value = ~0ull; /* what is above `size` must be cut by the bus */
	}
	for (unsigned i = 0; i < a->size; i++) {
		uint8_t *b = &m->byte[(a->offset + i) & 255];

		if (a->write) {
			*b = (uint8_t)(a->value >> (8 * i));
		} else {
			a->value &= ~(0xffull << (8 * i));
			a->value |= (uint64_t)*b << (8 * i);
		}
	}
}

static const struct vdev_ops left_ops = {.name = "left", .access = memory_access};
static const struct vdev_ops right_ops = {.name = "right", .access = memory_access};

static struct bus bus;
static struct memory left, right;
static struct refusal why;

static void begin(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(&left, 0, sizeof(left));
	memset(&right, 0, sizeof(right));
	why.text[0] = '\0';
	for (unsigned i = 0; i < 256; i++) {
		left.byte[i] = (uint8_t)i;
		right.byte[i] = (uint8_t)(0x80 + i);
	}
}

static bool claim(uint64_t base, uint64_t size, uint8_t width, bool is_right)
{
	struct bus_claim c = {.base = base,
			      .size = size,
			      .ops = is_right ? &right_ops : &left_ops,
			      .dev = is_right ? &right : &left,
			      .width = width};

	return bus_claim(&bus, &c, &why);
}

static uint64_t read_at(uint64_t addr, uint8_t size, bool *claimed)
{
	struct bus_access a = {.size = size, .value = 0x5a5a5a5a5a5a5a5a};

	*claimed = bus_access(&bus, addr, &a);
	return a.value;
}

static bool write_at(uint64_t addr, uint8_t size, uint64_t value)
{
	struct bus_access a = {.size = size, .write = true, .value = value};

	return bus_access(&bus, addr, &a);
}

TEST(claims_stay_sorted)
{
	begin();
	CHECK(claim(0x300, 8, 1, false));
	CHECK(claim(0x100, 8, 1, false));
	CHECK(claim(0x200, 8, 1, true));
	CHECK(claim(0x108, 0xf8, 1, true)); /* touches both neighbours */
	CHECK_EQ(bus.count, 4);
	CHECK_EQ(bus.claim[0].base, 0x100);
	CHECK_EQ(bus.claim[1].base, 0x108);
	CHECK_EQ(bus.claim[2].base, 0x200);
	CHECK_EQ(bus.claim[3].base, 0x300);
}

TEST(finding_at_the_edges)
{
	begin();
	CHECK(!bus_find(&bus, 0));
	claim(0x100, 8, 1, false);
	claim(0x108, 8, 1, true);
	claim(0x200, 1, 1, true);
	CHECK(!bus_find(&bus, 0xff));
	CHECK(bus_find(&bus, 0x100) == &bus.claim[0]);
	CHECK(bus_find(&bus, 0x107) == &bus.claim[0]);
	CHECK(bus_find(&bus, 0x108) == &bus.claim[1]);
	CHECK(bus_find(&bus, 0x10f) == &bus.claim[1]);
	CHECK(!bus_find(&bus, 0x110));
	CHECK(bus_find(&bus, 0x200) == &bus.claim[2]);
	CHECK(!bus_find(&bus, 0x201));
	CHECK(!bus_find(&bus, UINT64_MAX));
}

TEST(overlap_is_refused_by_name)
{
	begin();
	claim(0x100, 0x10, 1, false);
	CHECK(!claim(0x10f, 1, 1, true));
	CHECK_STR(why.text, "right at 0x10f-0x10f overlaps left at 0x100-0x10f");
	CHECK(!claim(0xff, 2, 1, true));
	CHECK(!claim(0x100, 0x10, 1, true));
	CHECK(!claim(0x80, 0x100, 1, true)); /* around it */
	CHECK(!claim(0x104, 4, 1, true));    /* inside it */
	CHECK_EQ(bus.count, 1);
	CHECK(claim(0x110, 1, 1, true));
}

TEST(bad_claims_are_refused)
{
	begin();
	CHECK(!claim(0x100, 0, 1, false));
	CHECK(strstr(why.text, "empty or wraps"));
	CHECK(!claim(UINT64_MAX, 2, 1, false));
	CHECK(!claim(0x100, 8, 3, false));
	CHECK(!claim(0x100, 8, 0, false));
	CHECK_EQ(bus.count, 0);
	CHECK(claim(UINT64_MAX, 1, 1, false)); /* the top byte is fine */
	CHECK(bus_find(&bus, UINT64_MAX));
	CHECK(!claim(UINT64_MAX - 1, 2, 1, true));
}

TEST(a_full_table_is_refused)
{
	begin();
	for (unsigned i = 0; i < BUS_CLAIMS; i++) {
		CHECK(claim(0x1000 - 16 * i, 8, 1, false));
	}
	why.text[0] = '\0';
	CHECK(!claim(0x8000, 8, 1, true));
	CHECK(strstr(why.text, "right at 0x8000: all 48 claims"));
	CHECK_EQ(bus.count, BUS_CLAIMS);
	for (unsigned i = 1; i < BUS_CLAIMS; i++) {
		CHECK(bus.claim[i - 1].base < bus.claim[i].base);
	}
}

TEST(whole_accesses_pass_through)
{
	bool claimed;

	begin();
	claim(0x100, 0x40, 4, false);
	CHECK_EQ(read_at(0x104, 4, &claimed), 0x07060504);
	CHECK(claimed);
	CHECK_EQ(read_at(0x105, 2, &claimed), 0x0605); /* unaligned, but not too wide */
	CHECK_EQ(read_at(0x13f, 1, &claimed), 0x3f);
	CHECK(write_at(0x110, 2, 0xffffffffffffabcd));
	CHECK_EQ(left.byte[0x10], 0xcd);
	CHECK_EQ(left.byte[0x11], 0xab);
	CHECK_EQ(left.byte[0x12], 0x12);
	CHECK_STR(left.log, "r4@4 r2@5 r1@3f w2@10 ");
}

TEST(wide_accesses_are_split_low_address_first)
{
	bool claimed;

	begin();
	claim(0x100, 0x40, 1, false);
	CHECK_EQ(read_at(0x100, 4, &claimed), 0x03020100);
	CHECK_STR(left.log, "r1@0 r1@1 r1@2 r1@3 ");
	begin();
	claim(0x100, 0x40, 4, false);
	CHECK(write_at(0x108, 8, 0x1122334455667788));
	CHECK_STR(left.log, "w4@8 w4@c ");
	CHECK_EQ(left.byte[8], 0x88);
	CHECK_EQ(left.byte[12], 0x44);
	begin();
	claim(0x100, 0x40, 2, false);
	CHECK_EQ(read_at(0x101, 4, &claimed), 0x04030201);
	CHECK_STR(left.log, "r1@1 r2@2 r1@4 "); /* each part naturally aligned */
}

TEST(straddling_accesses_reach_both)
{
	bool claimed;

	begin();
	claim(0x100, 4, 4, false);
	claim(0x104, 4, 1, true);
	CHECK_EQ(read_at(0x102, 4, &claimed), 0x81800302);
	CHECK(claimed);
	CHECK_STR(left.log, "r2@2 ");
	CHECK_STR(right.log, "r1@0 r1@1 ");
	CHECK(write_at(0x100, 8, 0x8877665544332211));
	CHECK_EQ(left.byte[3], 0x44);
	CHECK_EQ(right.byte[0], 0x55);
	CHECK_EQ(right.byte[3], 0x88);
}

TEST(unclaimed_bytes_read_ones)
{
	bool claimed;

	begin();
	CHECK_EQ(read_at(0x100, 1, &claimed), 0xff);
	CHECK(!claimed);
	CHECK_EQ(read_at(0x100, 2, &claimed), 0xffff);
	CHECK_EQ(read_at(0x100, 4, &claimed), 0xffffffff);
	CHECK_EQ(read_at(0x100, 8, &claimed), UINT64_MAX);
	CHECK(!write_at(0x100, 4, 1));
	claim(0x100, 2, 4, false);
	CHECK_EQ(read_at(0x100, 4, &claimed), 0xffff0100);
	CHECK(claimed);
	CHECK_EQ(read_at(0xfe, 4, &claimed), 0x0100ffff);
	CHECK(claimed);
	CHECK_EQ(read_at(0xfc, 4, &claimed), 0xffffffff);
	CHECK(!claimed);
	CHECK(write_at(0xff, 4, 0x44332211));
	CHECK_EQ(left.byte[0], 0x22);
	CHECK_EQ(left.byte[1], 0x33);
}

TEST(the_top_of_the_address_space)
{
	bool claimed;

	begin();
	claim(UINT64_MAX - 1, 2, 4, false);
	claim(0, 4, 1, true); /* must not be reached by wrapping around */
	CHECK_EQ(read_at(UINT64_MAX - 1, 2, &claimed), 0x0100);
	CHECK_EQ(read_at(UINT64_MAX - 1, 4, &claimed), 0xffff0100);
	CHECK(claimed);
	CHECK(write_at(UINT64_MAX, 8, 0xdd));
	CHECK_EQ(left.byte[1], 0xdd);
	CHECK_STR(right.log, "");
}

/* Every access against a byte-by-byte model of the same claims. */
TEST(random_accesses_agree_with_a_model)
{
	uint8_t model[64];

	for (unsigned round = 0; round < 2000; round++) {
		static const uint8_t widths[] = {1, 2, 4, 8};
		unsigned gap = (unsigned)rng_below(8), size = 1 + (unsigned)rng_below(12);

		begin();
		claim(8, size, widths[rng_below(4)], false);
		claim(8 + size + gap, 1 + rng_below(12), widths[rng_below(4)], true);
		memset(model, 0xff, sizeof(model));
		for (unsigned c = 0; c < 2; c++) {
			for (unsigned i = 0; i < bus.claim[c].size; i++) {
				model[bus.claim[c].base + i] = (uint8_t)(c ? 0x80 + i : i);
			}
		}
		for (unsigned n = 0; n < 20; n++) {
			uint8_t width = widths[rng_below(4)];
			uint64_t addr = rng_below(40), value = rng_next(), wanted = 0;
			bool any = false, claimed;

			for (unsigned i = 0; i < width; i++) {
				any |= bus_find(&bus, addr + i) != NULL;
				wanted |= (uint64_t)model[addr + i] << (8 * i);
			}
			CHECK_EQ(read_at(addr, width, &claimed), wanted);
			CHECK_EQ(claimed, any);
			CHECK_EQ(write_at(addr, width, value), any);
			for (unsigned i = 0; i < width; i++) {
				if (bus_find(&bus, addr + i)) {
					model[addr + i] = (uint8_t)(value >> (8 * i));
				}
			}
		}
	}
}

static const struct bus_claim *search(uint64_t addr)
{
	for (unsigned i = 0; i < bus.count; i++) {
		if (addr - bus.claim[i].base < bus.claim[i].size) {
			return &bus.claim[i];
		}
	}
	return NULL;
}

/* The three ways to find a claim, by a search from end to end; low and high ones, across the edge.
 */
TEST(every_way_finds_the_same)
{
	for (unsigned round = 0; round < 300; round++) {
		begin();
		for (unsigned i = 0; i < 12; i++) {
			claim(BUS_LOW - 300 + rng_below(600), 1 + rng_below(40), 1, i & 1);
		}
		for (uint64_t addr = BUS_LOW - 350; addr < BUS_LOW + 350; addr++) {
			const struct bus_claim *c = search(addr);
			bool is_last = c == &bus.claim[bus.count - 1];

			CHECK(bus_find(&bus, addr) == c);
			CHECK(bus_find_low(&bus, addr) == (addr < BUS_LOW ? c : NULL));
			CHECK(bus_find_last(&bus, addr) == (c && is_last ? c : NULL));
		}
	}
	begin();
	CHECK(!bus_find(&bus, 0x5000) && !bus_find_last(&bus, 0x5000));
}
