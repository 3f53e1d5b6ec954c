/*
 * The second-level table builder in both formats: leaf sizes, holes, permissions, what is refused.
 */
#include "arch/x86_64/svm/npt_format.h"
#include "arch/x86_64/vmx/ept_format.h"
#include "hv/host.h"
#include "hv/npt.h"
#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

static const struct npt_format ept = EPT_FORMAT, npt_small = NPT_FORMAT;
static struct npt_format ept_gib = EPT_FORMAT, npt_gib = NPT_FORMAT;

static struct addr_range ram(uint64_t base, uint64_t to, uint64_t size)
{
	return (struct addr_range){
		.base = gpa(base), .size = size, .hpa = hpa(to), .writable = true};
}

static struct npt build(const struct npt_format *f, const struct addr_range *r, unsigned n)
{
	struct addrspace as = {.count = n};
	struct refusal why = {{0}};
	struct npt t;

	fake_host_reset();
	ept_gib.gib_leaves = npt_gib.gib_leaves = true;
	memcpy(as.range, r, n * sizeof(*r));
	CHECK(npt_build(&t, f, &as, &why));
	CHECK_STR(why.text, "");
	return t;
}

static void check_leaf(const struct npt *t, uint64_t at, uint64_t entry, uint64_t size)
{
	uint64_t got;

	CHECK_EQ(npt_lookup(t, gpa(at), &got), entry);
	CHECK_EQ(got, size);
}

TEST(ept_bits)
{
	struct addr_range r[] = {ram(0, 0x40000000, 0x1000), ram(0x1000, 0x7000, 0x1000),
				 ram(0xfee00000, 0xfee00000, 0x1000)};
	struct npt t;

	r[1].writable = false;
	r[2].uncached = true;
	t = build(&ept, r, 3);
	/* Read, write, execute; memory type 6 in bits 5:3. */
	check_leaf(&t, 0, 0x40000037, 0x1000);
	check_leaf(&t, 0x1000, 0x7035, 0x1000);
	check_leaf(&t, 0xfee00000, 0xfee00003, 0x1000); /* type 0, not executable */
}

TEST(npt_bits)
{
	struct addr_range r[] = {ram(0, 0x40000000, 0x1000), ram(0x1000, 0x7000, 0x1000),
				 ram(0xfee00000, 0xfee00000, 0x1000)};
	struct npt t;

	r[1].writable = false;
	r[2].uncached = true;
	t = build(&npt_small, r, 3);
	/* Present, writable, user, accessed, dirty. */
	check_leaf(&t, 0, 0x40000067, 0x1000);
	check_leaf(&t, 0x1000, 0x7065, 0x1000);
	check_leaf(&t, 0xfee00000, 0x80000000fee00077, 0x1000); /* PCD alone: UC-; NX */
}

TEST(largest_leaves)
{
	const struct addr_range r = ram(0, GIB(4), GIB(2) + MIB(4) + 0x3000);
	struct npt t = build(&ept_gib, &r, 1);

	check_leaf(&t, GIB(1) + 5, (GIB(4) + GIB(1)) | 0xb7, GIB(1));
	check_leaf(&t, GIB(2) + MIB(2), (GIB(6) + MIB(2)) | 0xb7, MIB(2));
	check_leaf(&t, GIB(2) + MIB(4) + 0x2000, (GIB(6) + MIB(4) + 0x2000) | 0x37, 0x1000);
	check_leaf(&t, GIB(2) + MIB(4) + 0x3000, 0, 0);
	CHECK_EQ(t.tables, 4); /* root, 512 GiB, the third GiB, its last 2 MiB */

	t = build(&npt_gib, &r, 1);
	check_leaf(&t, 0, GIB(4) | 0xe7, GIB(1));
	t = build(&npt_small, &r, 1);
	check_leaf(&t, 0, GIB(4) | 0xe7, MIB(2));
}

TEST(leaves_need_both_alignments)
{
	/* 2 MiB aligned for the guest, not in RAM: small leaves only, whatever the format can. */
	const struct addr_range skewed = ram(GIB(1), GIB(4) + 0x1000, GIB(1));
	/* 1 GiB aligned for the guest, 2 MiB aligned in RAM. */
	const struct addr_range half = ram(GIB(1), GIB(4) + MIB(2), GIB(1));
	struct npt t = build(&ept_gib, &skewed, 1);

	check_leaf(&t, GIB(1), (GIB(4) + 0x1000) | 0x37, 0x1000);
	check_leaf(&t, GIB(2) - 1, (GIB(5) | 0x37), 0x1000);
	t = build(&ept_gib, &half, 1);
	check_leaf(&t, GIB(1), (GIB(4) + MIB(2)) | 0xb7, MIB(2));
	check_leaf(&t, GIB(2) - 1, GIB(5) | 0xb7, MIB(2));
}

TEST(unaligned_ends_and_holes)
{
	/* As a PC has it: RAM to 640 KiB, a hole, RAM from 1 MiB, and some above 4 GiB. */
	const struct addr_range r[] = {ram(0, GIB(4), 0xa0000),
				       ram(0xc0000, GIB(4) + 0xc0000, MIB(64) - 0xc0000),
				       ram(GIB(4), GIB(6), 0x1000)};
	struct npt t = build(&ept, r, 3);

	check_leaf(&t, 0x9ffff, (GIB(4) + 0x9f000) | 0x37, 0x1000);
	check_leaf(&t, 0xa0000, 0, 0);
	check_leaf(&t, 0xbffff, 0, 0);
	check_leaf(&t, 0xc0000, (GIB(4) + 0xc0000) | 0x37, 0x1000);
	check_leaf(&t, MIB(2), (GIB(4) + MIB(2)) | 0xb7, MIB(2));
	check_leaf(&t, MIB(64) - 1, (GIB(4) + MIB(62)) | 0xb7, MIB(2));
	check_leaf(&t, MIB(64), 0, 0);
	check_leaf(&t, GIB(4), GIB(6) | 0x37, 0x1000);
	check_leaf(&t, GIB(4) + 0x1000, 0, 0);
}

TEST(every_page_is_where_it_belongs)
{
	const struct addr_range r[] = {ram(0x3000, GIB(3) + 0x5000, MIB(5)),
				       ram(MIB(32), GIB(8), MIB(6) + 0x1000)};
	struct npt t = build(&npt_small, r, 2);

	for (uint64_t at = 0; at < MIB(40); at += 0x1000) {
		uint64_t size, e = npt_lookup(&t, gpa(at), &size), want = 0;

		for (int i = 0; i < 2; i++) {
			if (at >= r[i].base.v && at < r[i].base.v + r[i].size) {
				want = at - r[i].base.v + r[i].hpa.v;
			}
		}
		if (!want) {
			CHECK_EQ(e, 0);
			continue;
		}
		CHECK_EQ((e & FIELD(51, 12)) + (at & (size - 1)), want);
	}
}

TEST(highest_address)
{
	const struct addr_range r = ram(BIT(48) - 0x1000, 0x1000, 0x1000);
	struct npt t = build(&ept, &r, 1);
	uint64_t size;

	check_leaf(&t, BIT(48) - 1, 0x1037, 0x1000);
	CHECK_EQ(npt_lookup(&t, gpa(BIT(48)), &size), 0);
	CHECK_EQ(npt_lookup(&t, gpa(~0ull), &size), 0);
}

static void check_refused(struct addr_range r, const char *text)
{
	struct addrspace as = {.count = 1, .range = {r}};
	struct refusal why = {{0}};
	struct npt t;

	CHECK(!npt_build(&t, &ept, &as, &why));
	CHECK_STR(why.text, text);
}

TEST(refused)
{
	fake_host_reset();
	check_refused(ram(BIT(48), 0, 0x1000),
		      "guest-physical range 0x1000000000000 size 0x1000 cannot be mapped");
	check_refused(ram(BIT(48) - 0x1000, 0, 0x2000),
		      "guest-physical range 0xfffffffff000 size 0x2000 cannot be mapped");
	check_refused(ram(0x1000, 0, ~0xfffull),
		      "guest-physical range 0x1000 size 0xfffffffffffff000 cannot be mapped");
	check_refused(ram(0x800, 0, 0x1000),
		      "guest-physical range 0x800 size 0x1000 cannot be mapped");
	check_refused(ram(0, 0x10, 0x1000),
		      "guest-physical range 0x0 size 0x1000 cannot be mapped");
}

TEST(out_of_memory)
{
	fake_host_reset();
	for (unsigned pages = 0; pages < 4; pages++) {
		char text[80];

		fake_host.free_bytes = pages * PAGE_SIZE;
		snprintf(text, sizeof(text), "no memory for EPT tables (%u pages taken)", pages);
		check_refused(ram(0, 0x1000, 0x1000), text);
	}
	fake_host_reset();
}

/* AMD-Vi's way: an entry tells the level of the table that it points to. */
TEST(next_level_field_and_fewer_levels)
{
	const struct npt_format f = {.name = "I/O",
				     .levels = 3,
				     .table = BIT(0),
				     .leaf = BIT(0),
				     .write = BIT(62),
				     .next_level = FIELD(11, 9),
				     .gib_leaves = true};
	const struct addr_range r[] = {ram(0, GIB(4), GIB(1)),
				       ram(GIB(1), GIB(8), MIB(2) + 0x1000)};
	struct npt t = build(&f, r, 2);
	uint64_t *root = host_ptr(t.root), *second = host_ptr(hpa(root[1] & FIELD(51, 12)));

	CHECK_EQ(root[0], GIB(4) | 1 | BIT(62));
	CHECK_EQ(root[1] & ~FIELD(51, 12), 0x401); /* level 2 */
	CHECK_EQ(second[0], GIB(8) | 1 | BIT(62));
	CHECK_EQ(second[1] & ~FIELD(51, 12), 0x201);
	check_leaf(&t, GIB(1) - 1, GIB(4) | 1 | BIT(62), GIB(1));
	check_leaf(&t, GIB(1), GIB(8) | 1 | BIT(62), MIB(2));
	check_leaf(&t, GIB(1) + MIB(2), (GIB(8) + MIB(2)) | 1 | BIT(62), 0x1000);
	check_leaf(&t, GIB(512) - 1, 0, 0);
	check_leaf(&t, GIB(512), 0, 0); /* beyond three levels */
}

TEST(only_small_leaves)
{
	struct npt_format f = EPT_FORMAT;
	const struct addr_range r = ram(0, GIB(4), MIB(4));
	struct npt t;

	f.small_leaves = true;
	t = build(&f, &r, 1);
	check_leaf(&t, MIB(4) - 1, (GIB(4) + MIB(4) - 0x1000) | 0x37, 0x1000);
	CHECK_EQ(t.tables, 5);
}

TEST(one_range_more)
{
	const struct addr_range r = ram(0, GIB(4), MIB(2)), more = ram(MIB(64), MIB(64), 0x1000);
	struct npt t = build(&ept, &r, 1);
	struct refusal why = {{0}};

	CHECK(npt_add(&t, &more, &why));
	check_leaf(&t, MIB(64), MIB(64) | 0x37, 0x1000);
	check_leaf(&t, 0, GIB(4) | 0xb7, MIB(2));
}
