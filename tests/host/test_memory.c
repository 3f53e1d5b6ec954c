/*
 * The list of free RAM behind host_alloc.
 */
#include "boot/memory.h"
#include "boot/warm.h"
#include "tests/host/test.h"

static struct boot_info b;
static struct memory m;

static void ram(uint64_t base, uint64_t size)
{
	b.memory[b.memories++] = (struct boot_memory){base, size, MEMORY_RAM};
}

static void module(uint64_t start, uint64_t size)
{
	b.module[b.modules++] = (struct boot_module){.start = hpa(start), .size = size};
}

static void reset(void)
{
	memset(&b, 0, sizeof(b));
	memset(&m, 0, sizeof(m));
}

/* Is every byte of [start, end) free? */
static bool is_free(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < m.ranges; i++) {
		if (m.range[i].start <= start && end <= m.range[i].end) {
			return true;
		}
	}
	return false;
}

TEST(init_takes_whole_pages_above_1_mib)
{
	reset();
	ram(0, 0x9fc00);
	ram(0x80000, MIB(2));
	ram(MIB(16) + 1, 2 * PAGE_SIZE);
	b.memory[b.memories++] = (struct boot_memory){MIB(32), MIB(1), MEMORY_ACPI};
	ram(UINT64_MAX - PAGE_SIZE, PAGE_SIZE);
	memory_init(&m, &b);
	CHECK(is_free(MIB(1), MIB(2) + 0x80000));
	CHECK(is_free(MIB(16) + PAGE_SIZE, MIB(16) + 2 * PAGE_SIZE));
	CHECK(!is_free(MIB(32), MIB(32) + PAGE_SIZE));
	CHECK_EQ(memory_total(&m), MIB(1) + 0x80000 + PAGE_SIZE);
}

TEST(exclude_rounds_outwards_and_splits)
{
	reset();
	ram(MIB(1), MIB(15));
	memory_init(&m, &b);
	memory_exclude(&m, MIB(2) + 1, MIB(3) + 1);
	CHECK(is_free(MIB(1), MIB(2)));
	CHECK(!is_free(MIB(2), MIB(2) + PAGE_SIZE));
	CHECK(!is_free(MIB(3), MIB(3) + PAGE_SIZE));
	CHECK(is_free(MIB(3) + PAGE_SIZE, MIB(16)));
	memory_exclude(&m, 0, UINT64_MAX);
	CHECK_EQ(m.ranges, 0);
}

TEST(exclude_across_many_ranges)
{
	reset();
	for (unsigned i = 0; i < 10; i++) {
		ram(MIB(2 + 2 * i), MIB(1));
	}
	memory_init(&m, &b);
	memory_exclude(&m, MIB(2) + KIB(512), MIB(20) + KIB(512));
	CHECK_EQ(memory_total(&m), MIB(1));
	CHECK(is_free(MIB(2), MIB(2) + KIB(512)));
	CHECK(is_free(MIB(20) + KIB(512), MIB(21)));
}

TEST(take_prefers_the_smallest_range_and_wastes_nothing)
{
	uint64_t at;

	reset();
	ram(GIB(1), GIB(2));
	ram(MIB(8), MIB(4));
	memory_init(&m, &b);
	CHECK(memory_take(&m, PAGE_SIZE, PAGE_SIZE, UINT64_MAX, &at));
	CHECK_EQ(at, MIB(8));
	/* The next piece at 2 MiB leaves what lies before it to others. */
	CHECK(memory_take(&m, PAGE_2M, PAGE_2M, UINT64_MAX, &at));
	CHECK_EQ(at, MIB(10));
	CHECK(is_free(MIB(8) + PAGE_SIZE, MIB(10)));
	CHECK(memory_take(&m, GIB(1), GIB(1), UINT64_MAX, &at));
	CHECK_EQ(at, GIB(1));
	CHECK_EQ(memory_largest(&m, PAGE_1G), GIB(1));
	CHECK_EQ(memory_total(&m), GIB(1) + MIB(2) - PAGE_SIZE);
}

TEST(take_respects_the_limit)
{
	uint64_t at;

	reset();
	ram(GIB(4) - MIB(1), MIB(2));
	ram(GIB(8), KIB(8));
	memory_init(&m, &b);
	CHECK(memory_take(&m, MIB(1), PAGE_SIZE, GIB(4), &at));
	CHECK_EQ(at, GIB(4) - MIB(1));
	CHECK(!memory_take(&m, PAGE_SIZE, PAGE_SIZE, GIB(4), &at));
}

TEST(take_fails_without_harm)
{
	uint64_t at = 7;

	reset();
	ram(MIB(1) + PAGE_SIZE, MIB(1));
	memory_init(&m, &b);
	CHECK(!memory_take(&m, MIB(1) + PAGE_SIZE, PAGE_SIZE, UINT64_MAX, &at));
	CHECK(!memory_take(&m, MIB(1), PAGE_2M, UINT64_MAX, &at));
	CHECK(!memory_take(&m, UINT64_MAX - PAGE_MASK, PAGE_SIZE, UINT64_MAX, &at));
	CHECK(!memory_take(&m, 0, PAGE_SIZE, UINT64_MAX, &at));
	CHECK_EQ(at, 7);
	CHECK_EQ(memory_total(&m), MIB(1));
}

TEST(pieces_never_overlap)
{
	static uint64_t start[2000], end[2000];
	unsigned n = 0;
	uint32_t seed = 1;

	reset();
	ram(MIB(1), MIB(30));
	ram(MIB(40) + 123, MIB(20));
	memory_init(&m, &b);
	for (unsigned tries = 0; tries < 2000; tries++) {
		uint64_t size, align;

		seed = seed * 1664525 + 1013904223;
		size = (1 + (seed >> 20) % 16) * PAGE_SIZE;
		align = (uint64_t)PAGE_SIZE << (seed >> 28) % 10;
		if (!memory_take(&m, size, align, UINT64_MAX, &start[n])) {
			continue;
		}
		end[n] = start[n] + size;
		CHECK_EQ(start[n] % align, 0);
		for (unsigned i = 0; i < n; i++) {
			CHECK(end[i] <= start[n] || end[n] <= start[i]);
		}
		n++;
	}
	CHECK(n > 500);
	CHECK_EQ(m.lost, 0);
}

TEST(full_list_loses_memory_but_stays_true)
{
	reset();
	ram(MIB(1), GIB(1));
	memory_init(&m, &b);
	for (unsigned i = 0; i < MEMORY_RANGES + 10; i++) {
		memory_exclude(&m, MIB(2) + i * 2 * PAGE_SIZE, MIB(2) + (i * 2 + 1) * PAGE_SIZE);
	}
	CHECK_EQ(m.ranges, MEMORY_RANGES);
	CHECK(m.lost > 0);
	for (unsigned i = 0; i < MEMORY_RANGES + 10; i++) {
		uint64_t page = MIB(2) + i * 2 * PAGE_SIZE;

		CHECK(!is_free(page, page + PAGE_SIZE));
	}
}

TEST(what_is_memory_is_told_from_devices)
{
	reset();
	ram(MIB(1), MIB(63));
	b.memory[b.memories++] = (struct boot_memory){0xe0000000, MIB(256), MEMORY_RESERVED};
	CHECK_STR(memory_meets(&b, MIB(64) - PAGE_SIZE, PAGE_SIZE), "RAM");
	CHECK_STR(memory_meets(&b, 0, GIB(1)), "RAM");
	CHECK(!memory_meets(&b, MIB(64), PAGE_SIZE));
	CHECK(!memory_meets(&b, MIB(1) - PAGE_SIZE, PAGE_SIZE));
	CHECK(!memory_meets(&b, 0xe0000000, PAGE_SIZE));
	CHECK(!memory_meets(&b, UINT64_MAX - PAGE_MASK, PAGE_SIZE));
}

TEST(low_page_is_the_highest_that_is_free)
{
	reset();
	ram(0, 0x9fc00);
	CHECK_EQ(memory_low_page(&b), 0x9e000);
	module(0x9e800, 10);
	CHECK_EQ(memory_low_page(&b), 0x9d000);
	module(0x2000, 0x9b001);
	CHECK_EQ(memory_low_page(&b), 0x1000);
	module(0x1000, 1);
	CHECK_EQ(memory_low_page(&b), 0);
}

TEST(low_page_never_in_video_memory_nor_page_0)
{
	reset();
	ram(0, PAGE_SIZE);
	ram(0xa0000, 0x10000);
	CHECK_EQ(memory_low_page(&b), 0);
	ram(0x10000, MIB(16));
	CHECK_EQ(memory_low_page(&b), 0x9f000);
}

TEST(low_page_is_not_where_the_log_is_kept)
{
	reset();
	ram(0, WARM_LOW + WARM_BYTES);
	CHECK_EQ(memory_low_page(&b), WARM_LOW - PAGE_SIZE);
}

/* --- where the log that outlives a reset is kept --- */

static uint64_t at[WARM_PLACES];

TEST(warm_places_on_a_bios)
{
	reset();
	ram(0, 0x9fc00);
	ram(MIB(1), 0x7ffdf000 - MIB(1));
	ram(GIB(4), GIB(1));
	CHECK_EQ(warm_places(&b, at), 2);
	CHECK_EQ(at[0], WARM_LOW);
	CHECK_EQ(at[1], 0x7c800000);   /* 2 GiB - 48 MiB, and what rounds down */
	b.memory[1].size -= PAGE_SIZE; /* the next boot's map is a little different */
	CHECK_EQ(warm_places(&b, at), 2);
	CHECK_EQ(at[1], 0x7c800000);
}

TEST(warm_places_on_uefi)
{
	reset();
	b.efi = true;
	ram(0, 0xa0000);
	ram(MIB(1), MIB(7));
	ram(MIB(9), MIB(1000));
	CHECK_EQ(warm_places(&b, at), 3);
	CHECK_EQ(at[1], MIB(24));
	CHECK_EQ(at[2], MIB(960));
}

TEST(warm_places_in_small_machines)
{
	reset();
	CHECK_EQ(warm_places(&b, at), 0);
	ram(MIB(1), MIB(54));
	CHECK_EQ(warm_places(&b, at), 0);
	b.memory[0].size = MIB(55);
	CHECK_EQ(warm_places(&b, at), 1);
	CHECK_EQ(at[0], MIB(8));
	reset();
	b.efi = true;
	ram(MIB(1), MIB(71)); /* both come to the same address */
	CHECK_EQ(warm_places(&b, at), 1);
	CHECK_EQ(at[0], MIB(24));
}

TEST(warm_places_are_whole_in_ram)
{
	reset();
	ram(0, WARM_LOW + WARM_BYTES - PAGE_SIZE);
	ram(MIB(1), MIB(90));
	ram(MIB(100), MIB(50)); /* the top; 48 MiB below it there is none */
	CHECK_EQ(warm_places(&b, at), 0);
	ram(GIB(4) - MIB(100), MIB(300)); /* over 4 GiB: only what is below counts */
	CHECK_EQ(warm_places(&b, at), 1);
	CHECK_EQ(at[0], GIB(4) - MIB(48));
}

TEST(warm_places_keep_out_of_the_loaders_files)
{
	reset();
	CHECK(warm_place_free(&b, MIB(24), MIB(2), MIB(4)));
	CHECK(!warm_place_free(&b, MIB(24), MIB(2), MIB(24) + 1));
	CHECK(!warm_place_free(&b, MIB(24), MIB(24) + WARM_BYTES - 1, MIB(30)));
	CHECK(warm_place_free(&b, MIB(24), MIB(24) + WARM_BYTES, MIB(30)));
	module(MIB(24) - 1, 1);
	CHECK(warm_place_free(&b, MIB(24), 0, 0));
	module(MIB(24) - 1, 2);
	CHECK(!warm_place_free(&b, MIB(24), 0, 0));
}
