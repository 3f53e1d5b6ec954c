/*
 * hv/vdev/apic_bus.c and the ICR: who hears a message, in every mode, and what becomes of it (Intel
 * SDM vol. 3, "Issuing Interprocessor Interrupts", "Determining IPI Destination").
 */
#include "hv/msr_index.h"
#include "tests/fake/apic_rig.h"
#include "tests/fake/rng.h"
#include "tests/host/test.h"
#include <pthread.h>
#include <threads.h>

enum { SVR = 0xf0, LDR = 0xd0, DFR = 0xe0, ICR = 0x300, ICR_HIGH = 0x310, EOI = 0xb0 };
enum { V = 0x41 };
enum {
	ASSERT = 0x4000,
	LEVEL = 0x8000,
	LOGICAL = 0x800,
	LOWEST = 0x100,
	SMI = 0x200,
	RESERVED = 0x300,
	NMI = 0x400,
	INIT = 0x500,
	SIPI = 0x600,
	EXTINT = 0x700
};
enum { TO_SELF = 0x40000, TO_ALL = 0x80000, TO_OTHERS = 0xc0000 };

/* Who hears an ICR write in xAPIC mode? */
static uint32_t xapic_send(unsigned from, uint32_t dest, uint32_t icr)
{
	rig_write(from, ICR_HIGH, dest << 24);
	rig_write(from, ICR, icr | ASSERT);
	CHECK_EQ(rig_read(from, ICR) & 0x1000, 0); /* idle at once */
	return rig_who(V);
}

static uint32_t x2apic_send(unsigned from, uint64_t dest, uint32_t icr)
{
	CHECK(rig_wrmsr(from, 0x830, dest << 32 | icr | ASSERT));
	return rig_who(V);
}

static uint32_t device_send(uint32_t dest, bool logical)
{
	struct apic_message m = {.dest = dest, .vector = V, .logical = logical};
	bool accepted = apic_bus_send(&rig.bus, &m);
	uint32_t who = rig_who(V);

	CHECK_EQ(accepted, who != 0);
	return who;
}

static void all_x2apic(void)
{
	for (unsigned i = 0; i < rig.bus.count; i++) {
		rig_x2apic(i);
	}
}

/* --- destinations --- */

TEST(xapic_physical)
{
	rig_start(4);
	for (uint32_t dest = 0; dest < 256; dest++) {
		CHECK_EQ(xapic_send(1, dest, V), dest < 4 ? 1u << dest : dest == 255 ? 0xf : 0);
		CHECK_EQ(device_send(dest, false), dest < 4 ? 1u << dest : dest == 255 ? 0xf : 0);
	}
}

TEST(ids_need_not_be_indices)
{
	rig_start(3);
	rig.lapic[0].apic_id = 2;
	rig.lapic[1].apic_id = 40;
	rig.lapic[2].apic_id = 0;
	CHECK_EQ(xapic_send(0, 2, V), 1);
	CHECK_EQ(xapic_send(0, 40, V), 2);
	CHECK_EQ(xapic_send(0, 0, V), 4);
	CHECK_EQ(xapic_send(0, 1, V), 0);
	all_x2apic();
	CHECK_EQ(x2apic_send(0, 40, V), 2);
	CHECK_EQ(x2apic_send(0, 2 << 16 | 1 << 8, V | LOGICAL), 2); /* 40 is bit 8 of cluster 2 */
	CHECK_EQ(x2apic_send(0, 0 << 16 | 5, V | LOGICAL), 5);
}

TEST(xapic_logical_flat)
{
	rig_start(8);
	for (unsigned i = 0; i < 8; i++) {
		rig_write(i, LDR, 1u << (24 + i));
	}
	for (uint32_t mda = 0; mda < 256; mda++) {
		CHECK_EQ(xapic_send(3, mda, V | LOGICAL), mda);
	}
	rig_write(2, LDR, 0); /* no logical id: only the broadcast reaches it */
	CHECK_EQ(xapic_send(3, 0xfe, V | LOGICAL), 0xfa);
	CHECK_EQ(xapic_send(3, 0xff, V | LOGICAL), 0xff);
	rig_write(2, LDR, 0xc0000000); /* several bits at once */
	CHECK_EQ(xapic_send(3, 0x40, V | LOGICAL), 0x44);
}

TEST(xapic_logical_cluster)
{
	rig_start(8);
	for (unsigned i = 0; i < 8; i++) {
		rig_write(i, DFR, 0);
		rig_write(i, LDR, (i / 4) << 28 | 1u << (24 + i % 4)); /* two clusters of four */
	}
	for (uint32_t mda = 0; mda < 255; mda++) {
		uint32_t cluster = mda >> 4;

		CHECK_EQ(xapic_send(7, mda, V | LOGICAL),
			 cluster < 2 ? (mda & 0xf) << (4 * cluster) : 0);
	}
	CHECK_EQ(xapic_send(7, 0xff, V | LOGICAL), 0xff);
	rig_write(0, DFR, 0x50000000); /* a model that does not exist */
	CHECK_EQ(xapic_send(7, 0x03, V | LOGICAL), 2);
}

TEST(x2apic_physical)
{
	rig_start(4);
	all_x2apic();
	for (uint64_t dest = 0; dest < 256; dest++) {
		CHECK_EQ(x2apic_send(2, dest, V), dest < 4 ? 1u << dest : 0); /* 0xff is an id */
	}
	CHECK_EQ(x2apic_send(2, 0xffffffff, V), 0xf);
	CHECK_EQ(x2apic_send(2, 0x100, V), 0); /* not cut to 8 bits */
	CHECK_EQ(x2apic_send(2, 0xff000001, V), 0);
	rig.lapic[3].apic_id = 0x1003;
	CHECK_EQ(x2apic_send(2, 0x1003, V), 8);
	CHECK_EQ(x2apic_send(2, 3, V), 0);
	rig.lapic[3].apic_id = 0xff;
	CHECK_EQ(x2apic_send(2, 0xff, V), 8);
}

TEST(x2apic_logical)
{
	rig_start(8);
	all_x2apic();
	rig.lapic[6].apic_id = 16;	/* cluster 1 bit 0 */
	rig.lapic[7].apic_id = 0xffff5; /* cluster 0xffff bit 5 */
	for (uint64_t bits = 0; bits < 256; bits++) {
		CHECK_EQ(x2apic_send(1, bits, V | LOGICAL), bits & 0x3f);
	}
	CHECK_EQ(x2apic_send(1, 0x0001ffff, V | LOGICAL), 0x40);
	CHECK_EQ(x2apic_send(1, 0x00010001, V | LOGICAL), 0x40);
	CHECK_EQ(x2apic_send(1, 0x00010002, V | LOGICAL), 0);
	CHECK_EQ(x2apic_send(1, 0xffff0020, V | LOGICAL), 0x80);
	CHECK_EQ(x2apic_send(1, 0xffffffff, V | LOGICAL), 0xff);
	CHECK_EQ(x2apic_send(1, 0x00020001, V | LOGICAL), 0);
}

/* CPUs 0 and 1 in x2APIC mode, 2 and 3 still in xAPIC mode, as while a guest starts its CPUs. */
TEST(mixed_modes)
{
	rig_start(4);
	for (unsigned i = 2; i < 4; i++) {
		rig_write(i, LDR, 1u << (24 + i));
	}
	rig_x2apic(0);
	rig_x2apic(1);
	for (uint32_t dest = 0; dest < 4; dest++) {
		CHECK_EQ(x2apic_send(0, dest, V), 1u << dest);
		CHECK_EQ(xapic_send(2, dest, V), 1u << dest);
		CHECK_EQ(device_send(dest, false), 1u << dest);
	}
	CHECK_EQ(x2apic_send(0, 0xffffffff, V), 0xf);
	CHECK_EQ(xapic_send(2, 0xff, V), 0xf);
	CHECK_EQ(device_send(0xff, false), 0xf);
	CHECK_EQ(x2apic_send(0, 0x100 | 2, V), 0);
	/* An 8-bit logical destination is cluster 0 to an x2APIC; the x2APIC's own form is 32 bits.
	 */
	CHECK_EQ(device_send(0x05, true), 0x5);
	CHECK_EQ(xapic_send(3, 0x0b, V | LOGICAL), 0xb);
	CHECK_EQ(x2apic_send(1, 0x0f, V | LOGICAL), 0x3);
	CHECK_EQ(x2apic_send(1, 0, V | TO_ALL), 0xf);
	CHECK_EQ(xapic_send(2, 0, V | TO_OTHERS), 0xb);
}

TEST(the_xapic_id_is_the_low_byte)
{
	rig_start(2);
	rig.lapic[1].apic_id = 0x107;
	CHECK_EQ(rig_read(1, 0x20), 0x07000000);
	CHECK_EQ(device_send(7, false), 2);
	rig_x2apic(1);
	CHECK_EQ(device_send(7, false), 0);
}

/* --- shorthands and delivery modes --- */

TEST(shorthands)
{
	for (unsigned mode = 0; mode < 2; mode++) {
		rig_start(5);
		if (mode) {
			all_x2apic();
		}
		for (unsigned from = 0; from < 5; from++) {
			/* The destination does not matter then. */
			uint32_t (*send)(unsigned, uint64_t, uint32_t) = x2apic_send;
			uint32_t self = 1u << from;

			for (uint32_t dest = 0; dest < 3; dest++) {
				CHECK_EQ(mode ? send(from, dest, V | TO_SELF)
					      : xapic_send(from, dest, V | TO_SELF),
					 self);
				CHECK_EQ(mode ? send(from, dest, V | TO_ALL)
					      : xapic_send(from, dest, V | TO_ALL),
					 0x1f);
				CHECK_EQ(mode ? send(from, dest, V | TO_OTHERS)
					      : xapic_send(from, dest, V | TO_OTHERS),
					 0x1fu & ~self);
			}
		}
	}
}

/* Every delivery mode with every way to name the target, from CPU 1 of 3. */
TEST(delivery_modes)
{
	static const struct {
		uint32_t mode;
		const char *dest2, *self, *all, *others;
	} table[] = {
		{0, "intr 2", "", "intr 0, intr 1, intr 2", "intr 0, intr 2"},
		{SMI, "", "", "", ""},
		{RESERVED, "", "", "", ""},
		{NMI, "nmi 2", "nmi 1", "nmi 0, nmi 1, nmi 2", "nmi 0, nmi 2"},
		{INIT, "init 2", "init 1", "init 0, init 1, init 2", "init 0, init 2"},
		{SIPI, "sipi 2 41", "sipi 1 41", "sipi 0 41, sipi 1 41, sipi 2 41",
		 "sipi 0 41, sipi 2 41"},
		{EXTINT, "", "", "", ""},
	};

	for (unsigned mode = 0; mode < 2; mode++) {
		for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
			const char *wanted[] = {table[i].dest2, table[i].self, table[i].all,
						table[i].others};

			rig_start(3);
			if (mode) {
				all_x2apic();
			}
			for (uint32_t how = 0; how < 4; how++) {
				uint32_t icr = V | table[i].mode | how << 18;

				if (mode) {
					x2apic_send(1, 2, icr);
				} else {
					xapic_send(1, 2, icr);
				}
				CHECK_STR(rig_take_log(), wanted[how]);
			}
		}
	}
}

TEST(init_level_deassert_is_ignored)
{
	rig_start(2);
	rig_write(0, ICR_HIGH, 1u << 24);
	rig_write(0, ICR, INIT | LEVEL);
	CHECK_STR(rig_take_log(), "");
	rig_write(0, ICR, INIT | LEVEL | TO_ALL);
	CHECK_STR(rig_take_log(), "");
	rig_write(0, ICR, INIT | LEVEL | ASSERT);
	CHECK_STR(rig_take_log(), "init 1");
	rig_write(0, ICR, INIT); /* edge: no level to look at */
	CHECK_STR(rig_take_log(), "init 1");
	rig_write(0, ICR, V | LEVEL); /* others ignore the trigger mode */
	CHECK_STR(rig_take_log(), "intr 1");
	CHECK_EQ(rig_deliver(1), V);
	rig_write(1, EOI, 0);
	CHECK_STR(rig_take_log(), ""); /* and are edges */
}

/* INIT, SIPI, SIPI to a CPU whose APIC nobody enabled, vector 0 and 0xff included. */
TEST(starting_a_cpu)
{
	rig_start(2);
	vlapic_reset(&rig.lapic[1], true);
	rig_write(0, ICR_HIGH, 1u << 24);
	rig_write(0, ICR, INIT | LEVEL | ASSERT);
	rig_write(0, ICR, INIT | LEVEL);
	rig_write(0, ICR, SIPI | 0x00);
	rig_write(0, ICR, SIPI | 0xff);
	CHECK_STR(rig_take_log(), "init 1, sipi 1 0, sipi 1 ff");
	CHECK_EQ(rig_read(0, ICR), SIPI | 0xff);
	rig_write(0, 0x280, 0);
	CHECK_EQ(rig_read(0, 0x280), 0);
}

TEST(software_disabled_hears_all_but_vectors)
{
	struct apic_message m = {.dest = 1, .vector = V};

	rig_start(2);
	rig_write(1, SVR, 0xff);
	CHECK(!apic_bus_send(&rig.bus, &m));
	m.delivery = APIC_LOWEST;
	CHECK(!apic_bus_send(&rig.bus, &m));
	CHECK_STR(rig_take_log(), "");
	m.delivery = APIC_NMI;
	CHECK(apic_bus_send(&rig.bus, &m));
	m.delivery = APIC_INIT;
	CHECK(apic_bus_send(&rig.bus, &m));
	m.delivery = APIC_SIPI;
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK_STR(rig_take_log(), "nmi 1, init 1, sipi 1 41");
	rig_write(0, SVR, 0xff); /* and may still send */
	CHECK_EQ(xapic_send(0, 1, NMI), 0);
	CHECK_STR(rig_take_log(), "nmi 1");
	CHECK_EQ(xapic_send(0, 0, V | TO_SELF), 0);
}

TEST(hardware_disabled_hears_nothing)
{
	rig_start(2);
	CHECK(rig_wrmsr(1, MSR_APIC_BASE, 0xfee00000));
	for (unsigned mode = 0; mode < 8; mode++) {
		struct apic_message m = {
			.dest = 1, .vector = V, .delivery = (enum apic_delivery)mode};

		CHECK(!apic_bus_send(&rig.bus, &m));
		m.dest = 0xff;
		apic_bus_send(&rig.bus, &m);
		CHECK(!strchr(rig_take_log(), '1') || mode == APIC_SIPI);
	}
}

TEST(extint_from_an_ioapic)
{
	struct apic_message m = {.dest = 1, .delivery = APIC_EXTINT};

	rig_start(2);
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK_STR(rig_take_log(), "extint 1");
	rig.bus.extint = NULL;
	CHECK(!apic_bus_send(&rig.bus, &m));
}

TEST(an_illegal_vector_is_not_accepted)
{
	struct apic_message m = {.dest = 1, .vector = 15};

	rig_start(2);
	CHECK(!apic_bus_send(&rig.bus, &m));
	CHECK_STR(rig_take_log(), "intr 1"); /* its owner is to raise the error */
	rig_write(1, 0x280, 0);
	CHECK_EQ(rig_read(1, 0x280), 0x40);
}

TEST(messages_carry_their_trigger_mode)
{
	struct apic_message m = {.dest = 0xff, .vector = V, .level = true};

	rig_start(2);
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK_EQ(rig_read(0, 0x1a0), 2);
	CHECK_EQ(rig_read(1, 0x1a0), 2);
}

/* --- lowest priority --- */

TEST(lowest_priority_takes_turns)
{
	struct apic_message m = {
		.dest = 0xff, .vector = V, .delivery = APIC_LOWEST, .logical = true};

	rig_start(4);
	for (unsigned i = 0; i < 12; i++) {
		CHECK(apic_bus_send(&rig.bus, &m));
		CHECK_EQ(rig_who(V), 1u << i % 4);
	}
	rig_write(1, SVR, 0xff); /* not a candidate */
	CHECK(rig_wrmsr(3, MSR_APIC_BASE, 0xfee00000));
	for (unsigned i = 0; i < 6; i++) {
		CHECK(apic_bus_send(&rig.bus, &m));
		CHECK_EQ(rig_who(V), i % 2 ? 4 : 1);
	}
	rig_write(0, SVR, 0xff);
	rig_write(2, SVR, 0xff);
	CHECK(!apic_bus_send(&rig.bus, &m));
}

TEST(lowest_priority_by_icr)
{
	rig_start(4);
	CHECK_EQ(xapic_send(0, 2, V | LOWEST), 4);
	CHECK_EQ(xapic_send(0, 0, V | LOWEST | TO_OTHERS), 8);
	CHECK_EQ(xapic_send(0, 0, V | LOWEST | TO_OTHERS), 2);
	CHECK_EQ(xapic_send(0, 0, V | LOWEST | TO_OTHERS), 4);
	CHECK_EQ(xapic_send(0, 0, V | LOWEST | TO_SELF), 1);
	all_x2apic();
	CHECK_EQ(x2apic_send(0, 0x6, V | LOWEST | LOGICAL), 2);
	CHECK_EQ(x2apic_send(0, 0x6, V | LOWEST | LOGICAL), 4);
	CHECK_EQ(x2apic_send(0, 0x6, V | LOWEST | LOGICAL), 2);
}

TEST(sixty_four_lapics)
{
	static struct vlapic many[64];
	static const uint64_t no_offset;
	struct apic_message m = {.dest = 0xff, .vector = V};

	rig_start(1);
	memset(many, 0, sizeof(many));
	for (unsigned i = 0; i < 64; i++) {
		vlapic_init(&many[i], &rig.bus, i, i, i == 0, &no_offset);
		CHECK(vlapic_wrmsr(&many[i], MSR_APIC_BASE, 0, 0xfee00c00));
		CHECK(vlapic_wrmsr(&many[i], 0x80f, 0, 0x1ff));
	}
	CHECK_EQ(rig.bus.count, 64);
	CHECK(apic_bus_send(&rig.bus, &m));
	for (unsigned i = 0; i < 64; i++) {
		unsigned blocked;

		CHECK_EQ(vlapic_pending(&many[i], &blocked), V);
		vlapic_reset(&many[i], false);
		CHECK(vlapic_wrmsr(&many[i], MSR_APIC_BASE, 0, 0xfee00c00));
		CHECK(vlapic_wrmsr(&many[i], 0x80f, 0, 0x1ff));
	}
	m = (struct apic_message){
		.dest = 0x00038000, .vector = V, .logical = true, .x2apic = true}; /* id 63 */
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK(atomic_load(&many[63].posted_any));
	CHECK(!atomic_load(&many[62].posted_any));
	m = (struct apic_message){.dest = 0xff, .vector = V, .delivery = APIC_LOWEST};
	atomic_store(&rig.bus.lowest_priority_next, 63);
	rig_take_log();
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK(apic_bus_send(&rig.bus, &m));
	CHECK_STR(rig_take_log(), "intr 63, intr 0");
}

TEST(no_lapic_at_all)
{
	struct apic_message m = {.dest = 0xff, .vector = V};

	rig_start(1);
	rig.bus.count = 0;
	CHECK(!apic_bus_send(&rig.bus, &m));
}

/* --- random messages against the rules written out --- */

static bool model_hears(const struct vlapic *t, const struct apic_message *m)
{
	bool x2 = vlapic_x2apic(t);
	uint32_t id = t->apic_id, ldr = t->ldr >> 24;

	if (m->dest == (m->x2apic ? 0xffffffff : 0xff)) {
		return true;
	}
	if (!m->logical) {
		return m->dest == id;
	}
	if (m->x2apic || x2) {
		return x2 && m->dest >> 16 == id >> 4 && (m->dest >> (id & 15) & 1);
	}
	if (t->dfr == 0xffffffff) {
		return m->dest & ldr;
	}
	return m->dest >> 4 == ldr >> 4 && (m->dest & ldr & 15);
}

TEST(random_messages_agree_with_a_model)
{
	static const uint32_t ids[] = {0, 1, 2, 3, 15, 16, 17, 33};

	for (unsigned round = 0; round < 500; round++) {
		rig_start(8);
		for (unsigned i = 0; i < 8; i++) {
			rig.lapic[i].apic_id = ids[(i + round) % 8];
			rig_write(i, LDR, (uint32_t)rng_next());
			rig_write(i, DFR, rng_below(2) ? UINT32_MAX : 0);
			if (rng_below(2)) {
				rig_x2apic(i);
			}
		}
		for (unsigned n = 0; n < 20; n++) {
			struct apic_message m = {
				.vector = V, .logical = rng_below(2), .x2apic = rng_below(2)};
			uint32_t wanted = 0;
			bool accepted;

			m.dest = (uint32_t)rng_below(256);
			if (m.x2apic && rng_below(2)) {
				m.dest = (uint32_t)rng_below(4) << 16 |
					 (uint32_t)rng_below(0x10000);
			}
			for (unsigned i = 0; i < 8; i++) {
				wanted |= model_hears(&rig.lapic[i], &m) ? 1u << i : 0;
			}
			accepted = apic_bus_send(&rig.bus, &m);
			CHECK_EQ(accepted, wanted != 0);
			CHECK_EQ(rig_who(V), wanted);
		}
		rig_take_log();
	}
}

/* --- IPIs between CPUs that run at once --- */

enum { CPUS = 4, IPIS = 3000 };
static _Atomic unsigned got[CPUS][CPUS], done;

static void silent(void *ctx, unsigned index)
{
	(void)ctx;
	(void)index;
}

static void take_ipis(unsigned me)
{
	for (int vector; (vector = rig_deliver(me)) >= 0;) {
		rig_wrmsr(me, 0x80b, 0);
		atomic_fetch_add(&got[me][vector - 0x50], 1);
	}
}

/* Each CPU sends its own vector to all others, and waits till all have seen it. */
static void *cpu(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned n = 1; n <= IPIS; n++) {
		uint32_t how = n & 1 ? TO_OTHERS : LOGICAL;
		unsigned seen;

		rig_wrmsr(me, 0x830, (uint64_t)(0xf & ~(1u << me)) << 32 | how | (0x50 + me));
		do {
			take_ipis(me);
			seen = 0;
			thrd_yield();
			for (unsigned i = 0; i < CPUS; i++) {
				seen += i != me && atomic_load(&got[i][me]) == n;
			}
		} while (seen < CPUS - 1);
	}
	atomic_fetch_add(&done, 1);
	while (atomic_load(&done) < CPUS) {
		take_ipis(me);
	}
	return NULL;
}

TEST(no_ipi_is_lost_between_cpus)
{
	pthread_t thread[CPUS];

	rig_start(CPUS);
	all_x2apic();
	rig.bus.intr = silent;
	for (uintptr_t i = 0; i < CPUS; i++) {
		pthread_create(&thread[i], NULL, cpu, (void *)i);
	}
	for (unsigned i = 0; i < CPUS; i++) {
		pthread_join(thread[i], NULL);
	}
	for (unsigned to = 0; to < CPUS; to++) {
		for (unsigned from = 0; from < CPUS; from++) {
			CHECK_EQ(atomic_load(&got[to][from]), to == from ? 0 : IPIS);
		}
	}
}
