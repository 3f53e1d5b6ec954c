/*
 * Code from small leaves only (npt.h, small_code): what splits, what never does, that a split needs
 * no memory and no lock, and that a restart puts large leaves back.
 */
#define _POSIX_C_SOURCE 200809L /* threads that wait for each other */
#include "arch/x86_64/vmx/ept_format.h"
#include "tests/fake/fake_guest.h"
#include "tests/host/test.h"
#include <pthread.h>

enum { LARGE = 0xb3, MIDDLE = LARGE, SMALL_LEAF = 0x37, DEVICE = 0x03, LARGE_DEVICE = 0x83 };

static struct npt_format format = EPT_FORMAT;

static const struct addr_range ram_2g = {
	.base = {0}, .size = GIB(2) + MIB(4) + 0x3000, .hpa = {GIB(4)}, .writable = true};
/* Large leaves of a device in the same table as RAM's. */
static const struct addr_range bar = {.base = {GIB(2) + MIB(64)},
				      .size = MIB(4),
				      .hpa = {GIB(3)},
				      .writable = true,
				      .uncached = true};

static bool try_build(struct npt *t, struct refusal *why)
{
	struct addrspace as = {.count = 2, .range = {ram_2g, bar}};

	format.gib_leaves = format.small_code = true;
	return npt_build(t, &format, &as, why);
}

static struct npt build(void)
{
	struct refusal why = {""};
	struct npt t;

	fake_host_reset();
	CHECK(try_build(&t, &why));
	return t;
}

static void check_leaf(const struct npt *t, uint64_t at, uint64_t entry, uint64_t size)
{
	uint64_t got;

	CHECK_EQ(npt_lookup(t, gpa(at), &got), entry);
	CHECK_EQ(got, size);
}

static void check_as_built(const struct npt *t)
{
	check_leaf(t, 0, GIB(4) | LARGE, GIB(1));
	check_leaf(t, GIB(1), GIB(5) | LARGE, GIB(1));
	check_leaf(t, GIB(2), GIB(6) | LARGE, MIB(2));
	check_leaf(t, GIB(2) + MIB(2), (GIB(6) + MIB(2)) | LARGE, MIB(2));
	check_leaf(t, GIB(2) + MIB(4), (GIB(6) + MIB(4)) | SMALL_LEAF, 0x1000);
	check_leaf(t, bar.base.v, bar.hpa.v | LARGE_DEVICE, MIB(2));
}

TEST(code_runs_from_small_leaves_only)
{
	struct npt t = build();

	check_as_built(&t);
}

TEST(a_fetch_splits_its_2_mib)
{
	struct npt t = build();

	CHECK(npt_split(&t, gpa(GIB(2) + 0x5123)));
	for (uint64_t at = 0; at < MIB(2); at += 0x1000) {
		check_leaf(&t, GIB(2) + at, (GIB(6) + at) | SMALL_LEAF, 0x1000);
	}
	check_leaf(&t, GIB(2) + MIB(2), (GIB(6) + MIB(2)) | LARGE, MIB(2));
	check_leaf(&t, 0, GIB(4) | LARGE, GIB(1));
}

TEST(a_fetch_splits_1_gib_where_it_is)
{
	struct npt t = build();

	CHECK(npt_split(&t, gpa(MIB(100) + 1)));
	for (uint64_t at = 0; at < GIB(1); at += MIB(2)) {
		if (at == MIB(100)) {
			check_leaf(&t, at + 0x1000, (GIB(4) + at + 0x1000) | SMALL_LEAF, 0x1000);
		} else {
			check_leaf(&t, at, (GIB(4) + at) | MIDDLE, MIB(2));
		}
	}
	check_leaf(&t, GIB(1), GIB(5) | LARGE, GIB(1));
}

/* A second CPU faults on what the first has split: it only has to try again. */
TEST(a_second_split_changes_nothing)
{
	struct npt t = build();

	CHECK(npt_split(&t, gpa(MIB(100))));
	CHECK(npt_split(&t, gpa(MIB(101))));
	check_leaf(&t, MIB(101), (GIB(4) + MIB(101)) | SMALL_LEAF, 0x1000);
	CHECK(npt_split(&t, gpa(GIB(2) + MIB(4))));
	check_leaf(&t, MIB(102), (GIB(4) + MIB(102)) | MIDDLE, MIB(2));
}

TEST(what_is_no_ram_never_runs)
{
	struct npt t = build();

	CHECK(!npt_split(&t, bar.base));
	CHECK(!npt_split(&t, gpa(GIB(2) + MIB(4) + 0x3000)));
	CHECK(!npt_split(&t, gpa(GIB(3))));
	CHECK(!npt_split(&t, gpa(GIB(600))));
	CHECK(!npt_split(&t, gpa(BIT(48))));
	CHECK(!npt_split(&t, gpa(~0ull)));
	check_as_built(&t);
}

TEST(other_formats_never_split)
{
	struct addrspace as = {.count = 1, .range = {ram_2g}};
	struct refusal why = {""};
	struct npt t;

	fake_host_reset();
	format.small_code = false;
	CHECK(npt_build(&t, &format, &as, &why));
	CHECK(!npt_split(&t, gpa(0)));
	npt_join(&t);
	check_leaf(&t, 0, GIB(4) | 0xb7, GIB(1));
	CHECK_EQ(t.tables, 4);
}

/* --- memory --- */

static void split_all(struct npt *t)
{
	for (uint64_t at = 0; at < ram_2g.size; at += 0x1000) {
		CHECK(npt_split(t, gpa(at)));
	}
}

TEST(splits_take_no_memory)
{
	struct npt t = build();
	unsigned tables = t.tables;

	fake_host.free_bytes = 0;
	split_all(&t);
	CHECK_EQ(t.tables, tables);
	for (uint64_t at = 0; at < ram_2g.size; at += 0x1000) {
		check_leaf(&t, at, (GIB(4) + at) | SMALL_LEAF, 0x1000);
	}
	/*
	 * A page for each 2 MiB; with its twins a table for each GiB, and the two above. The last
	 * 12 KiB need a small table in any case.
	 */
	CHECK_EQ(tables, 1024 + 2 + 1 + 2 * (3 + 2));
}

TEST(too_little_memory_is_told_before_the_guest_starts)
{
	struct npt t = build();
	unsigned need = t.tables;

	for (unsigned pages = 0; pages < need; pages += 1 + pages / 7) {
		struct refusal why = {""};

		fake_host_reset();
		fake_host.free_bytes = (uint64_t)pages * PAGE_SIZE;
		CHECK(!try_build(&t, &why));
		CHECK(strstr(why.text, "no memory for EPT tables") != NULL);
	}
	fake_host_reset();
	fake_host.free_bytes = (uint64_t)need * PAGE_SIZE;
	CHECK(try_build(&t, &(struct refusal){""}));
	fake_host_reset();
}

/* A device's tables are taken from the reserve while the guest runs: they have twins, too. */
TEST(tables_of_devices_have_room_for_twins)
{
	/* Found at the same index in tables of two levels, which lie side by side. */
	const uint64_t at = GIB(512) + GIB(5) + 5 * MIB(2);
	const struct addr_range device = {.base = {at},
					  .size = MIB(2) + 0x1000,
					  .hpa = {GIB(3)},
					  .writable = true,
					  .uncached = true};
	struct npt t = build();
	struct refusal why = {""};

	CHECK(npt_reserve(&t, 3, &why));
	CHECK(npt_map(&t, &device));
	CHECK_EQ(t.spares, 0);
	CHECK(!npt_split(&t, gpa(at)));
	CHECK(!npt_split(&t, gpa(at + MIB(2))));
	npt_join(&t);
	check_leaf(&t, at, GIB(3) | LARGE_DEVICE, MIB(2));
	check_leaf(&t, at + MIB(2), (GIB(3) + MIB(2)) | DEVICE, 0x1000);
	npt_unmap(&t, gpa(at), device.size);
	npt_flushed(&t, t.retired_next);
	CHECK_EQ(t.spares, 3);
	CHECK(!npt_split(&t, gpa(at)));
	check_as_built(&t);
}

/* --- several CPUs --- */

enum { ROUNDS = 300, CPUS = 3 };

static struct npt raced;
static pthread_barrier_t begin, finished;
static unsigned refused[CPUS];

static void *race(void *index)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&begin);
		refused[(uintptr_t)index] += !npt_split(&raced, gpa(MIB(2) * (i % 512)));
		pthread_barrier_wait(&finished);
	}
	return NULL;
}

TEST(cpus_split_one_leaf_at_once)
{
	pthread_t thread[CPUS];

	raced = build();
	pthread_barrier_init(&begin, NULL, CPUS + 1);
	pthread_barrier_init(&finished, NULL, CPUS + 1);
	for (uintptr_t i = 0; i < CPUS; i++) {
		CHECK_EQ(pthread_create(&thread[i], NULL, race, (void *)i), 0);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t at = MIB(2) * (i % 512);

		npt_join(&raced);
		check_as_built(&raced);
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&finished);
		check_leaf(&raced, at, (GIB(4) + at) | SMALL_LEAF, 0x1000);
		check_leaf(&raced, at + MIB(2) - 1, (GIB(4) + at + MIB(2) - 0x1000) | SMALL_LEAF,
			   0x1000);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
		CHECK_EQ(refused[i], 0);
	}
}

TEST(large_leaves_come_back_for_the_next_life)
{
	struct npt t = build();

	for (unsigned life = 0; life < 3; life++) {
		split_all(&t);
		npt_join(&t);
		check_as_built(&t);
		CHECK(npt_split(&t, gpa(MIB(40))));
		check_leaf(&t, MIB(42), (GIB(4) + MIB(42)) | MIDDLE, MIB(2));
		npt_join(&t);
		check_as_built(&t);
	}
}

/* --- exits --- */

static struct partition *start_guest(const char *extra)
{
	static const uint8_t code[] = {0xf4};
	struct partition *p;

	format.small_code = true;
	fake_guest_format = &format;
	p = fake_guest(2, extra, code, sizeof(code));
	fake_virt.hardware = p->vcpu[0]->regs;
	return p;
}

static struct vm_exit *fetch_exit(uint64_t at)
{
	struct vm_exit *x = fake_virt_exit(EXIT_NPT, 0);

	x->npt.gpa = gpa(at);
	x->npt.fetch = true;
	return x;
}

TEST(a_guest_that_fetches_from_a_large_leaf_goes_on)
{
	struct partition *p = start_guest("");
	uint64_t size;

	CHECK(!(npt_lookup(&p->npt, gpa(MIB(2)), &size) & format.execute));
	CHECK_EQ(size, MIB(2));
	/* The event whose delivery it cut short is delivered again. */
	fetch_exit(MIB(3))->interrupted = (struct event){
		.valid = true, .type = EVENT_INTR, .vector = 0x55};
	vcpu_turn(p->vcpu[0]);
	CHECK_EQ(atomic_load(&p->end), END_NONE);
	CHECK(npt_lookup(&p->npt, gpa(MIB(2)), &size) & format.execute);
	CHECK_EQ(size, 0x1000);
	vcpu_turn(p->vcpu[0]);
	CHECK_EQ(fake_virt.injections, 1);
	CHECK_EQ(fake_virt.injected[0].vector, 0x55);
}

TEST(a_fetch_from_nowhere_ends_the_guest)
{
	struct partition *p = start_guest("");

	fetch_exit(GIB(1));
	vcpu_turn(p->vcpu[0]);
	CHECK_EQ(atomic_load(&p->end), END_ERROR);
	CHECK_STR(p->end_reason,
		  "instruction fetch from guest-physical 0x40000000, which is not RAM");
}

TEST(a_page_table_in_nowhere_ends_the_guest)
{
	struct partition *p = start_guest("");
	struct vm_exit *x = fake_virt_exit(EXIT_NPT, 0);

	x->npt.gpa = gpa(GIB(1));
	x->npt.walk = true;
	vcpu_turn(p->vcpu[0]);
	CHECK_STR(p->end_reason, "a page table at guest-physical 0x40000000, which is not RAM");
}

TEST(a_restart_begins_with_large_leaves)
{
	struct partition *p = start_guest("on-crash = restart");
	uint64_t size;

	vcpu_turn(p->vcpu[1]);
	fetch_exit(MIB(3));
	fake_virt_exit(EXIT_TRIPLE_FAULT, 0);
	vcpu_turn(p->vcpu[0]);
	vcpu_turn(p->vcpu[0]);
	npt_lookup(&p->npt, gpa(MIB(2)), &size);
	CHECK_EQ(size, 0x1000);
	for (unsigned i = 0; i < 8; i++) {
		vcpu_turn(p->vcpu[0]);
		vcpu_turn(p->vcpu[1]);
	}
	CHECK_EQ(atomic_load(&p->generation), 2);
	CHECK(!(npt_lookup(&p->npt, gpa(MIB(2)), &size) & format.execute));
	CHECK_EQ(size, MIB(2));
}
