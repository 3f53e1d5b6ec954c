/*
 * A guest that writes anything anywhere: what its device and its tables come to hold, by random
 * accesses of all sizes to config space, ports, BARs and interrupt controllers.
 */
#include "test.h"
#include "tests/fake/passthrough_rig.h"
#include "tests/fake/rng.h"

enum { ROUNDS = 30, STEPS = 3000, STRANGER = 5 << 3 };

static struct fake_function *other; /* nobody's */
static struct fake_function before, other_before;

static uint64_t some_value(void)
{
	static const uint64_t likely[] = {
		0,
		~0ull,
		0xffffffff,
		0xfee00000,
		0xfee0100c,
		0x4030,
		0xc1000000,
		0xe0000000,
		0x100000,
		BAR0,
		0xfee0000000000055ull,
		0xc040,
	};

	switch (rng_below(3)) {
	case 0: return likely[rng_below(ARRAY_SIZE(likely))] + rng_below(2) * rng_below(4096);
	case 1: return BIT(rng_below(64));
	default: return rng_next();
	}
}

/* --- what the guest does --- */

static void access(bool port, uint64_t at, uint64_t value)
{
	struct bus_access a = {.size = (uint8_t)(1u << rng_below(4)), .write = rng_below(4) != 0};

	a.value = value;
	if (port) {
		a.size = a.size == 8 ? 4 : a.size;
		pc_port(v, (uint16_t)at, &a);
	} else {
		pc_mmio(v, gpa(at), &a);
	}
}

static void touch_config(void)
{
	static const uint8_t likely[] = {0x04, 0x10, 0x14, 0x18, 0x20, 0x24, 0x30, 0x3c, 0x78,
					 0x7a, 0xb0, 0xb2, 0xc4, 0xd2, 0xd4, 0xd8, 0xdc, 0xe0};
	unsigned reg = rng_below(4) ? likely[rng_below(ARRAY_SIZE(likely))] + (unsigned)rng_below(4)
				    : (unsigned)rng_below(4096);
	unsigned devfn = rng_below(16) ? f->devfn : (unsigned)rng_below(256);

	if (rng_below(4)) {
		access(false, VPCI_ECAM_BASE + (devfn << 12) + reg, some_value());
		return;
	}
	access(true, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	access(true, 0xcfc + rng_below(4), some_value());
}

static void touch_table(void)
{
	uint64_t base = in(0x10, 4) & ~15u;

	access(false, base + TABLE + rng_below(0x80), some_value());
	if (rng_below(2)) {
		write_entry((unsigned)rng_below(ENTRIES), 0xfee00000 + rng_below(0x2000), 0x30, 0);
	}
}

static void touch_bar(void)
{
	static const uint8_t bars[] = {0x10, 0x14, 0x20};
	uint64_t base = in(bars[rng_below(3)], 4) & ~15u;

	access(false, base + rng_below(0x8000) - rng_below(16), some_value());
	access(true, (in(0x18, 4) & ~3u) + rng_below(0x28), some_value());
}

static void touch_controllers(void)
{
	static const uint16_t ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};

	write_pin((unsigned)rng_below(24), (uint32_t)rng_next() & 0x1afff);
	access(true, ports[rng_below(ARRAY_SIZE(ports))], some_value());
	passthrough_interrupt(v, (uint8_t)(HOST_VECTOR_DEVICE_FIRST + rng_below(8)));
}

/* Or its end for good: it has ports for that. */
static void restart(void)
{
	p->vcpus = 1;
	partition_end(p, END_RESET, "test");
	fake_host.tsc += 2 * host_tsc_hz; /* not too soon after the last one */
	vcpu_turn(v);
	vcpu_turn(v);
	p->vcpus = 2;
	CHECK(p->finished || p->end == END_NONE);
}

static void step(void)
{
	switch (rng_below(6)) {
	case 0:
	case 1:
	case 2: touch_config(); break;
	case 3: touch_table(); break;
	case 4: touch_bar(); break;
	default: touch_controllers(); break;
	}
	p->vcpus = 1; /* what other CPUs would do is not done here */
	if (!rng_below(8) && atomic_load(&p->end) == END_NONE) {
		vcpu_turn(v);
	}
	p->vcpus = 2;
	if (atomic_load(&p->end) != END_NONE || !rng_below(500)) {
		restart();
	}
}

/* --- what must not come of it --- */

static bool is_message(uint64_t address, uint32_t data)
{
	return (address == 0xfee10000 || address == 0xfee11000) &&
	       data >= HOST_VECTOR_DEVICE_FIRST && data <= HOST_VECTOR_DEVICE_LAST;
}

static void check_device(void)
{
	uint32_t command = fake_pci_get(hw, PCI_COMMAND, 2);

	CHECK(memcmp(before.config + PCI_BAR0, hw->config + PCI_BAR0, 0x24) == 0);
	CHECK(memcmp(before.config + 0x38, hw->config + 0x38, 8) == 0);
	CHECK_EQ(command & 3, 3);
	CHECK_EQ(command & ~0x447u, 0);
	CHECK_EQ(fake_pci_get(hw, 0xc4, 2) & PM_STATE, 0);
	CHECK_EQ(fake_pci_get(hw, 0x78, 2) & ~0x7810u, 0x2810 & ~0x7810);
	CHECK(memcmp(&other_before, other, sizeof(*other)) == 0 ||
	      other->writes == other_before.writes);
}

static void check_messages(void)
{
	uint32_t control = fake_pci_get(hw, 0xd2, 2);
	bool msix_on = fake_pci_get(hw, 0xb2, 2) & MSIX_ENABLE;
	uint64_t address = fake_pci_get(hw, 0xd4, 4) | (uint64_t)fake_pci_get(hw, 0xd8, 4) << 32;
	unsigned count = 1u << (control >> 4 & 7);

	if (control & MSI_ENABLE) {
		CHECK(is_message(address, fake_pci_get(hw, 0xdc, 2)));
		CHECK(is_message(address, fake_pci_get(hw, 0xdc, 2) + count - 1));
		CHECK_EQ(fake_pci_get(hw, 0xdc, 2) & (count - 1), 0);
		CHECK(count <= 4 && !msix_on);
	}
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!(entry(i, 3) & MSIX_ENTRY_MASKED)) {
			CHECK(is_message(entry(i, 0) | (uint64_t)entry(i, 1) << 32, entry(i, 2)));
		}
	}
}

/* A leaf: guest RAM where RAM is, or a page of a BAR that holds no entry of the table. */
static void check_leaf(uint64_t at, uint64_t to, uint64_t size)
{
	const struct addr_range *ram = addrspace_find(&p->as, gpa(at));

	if (ram) {
		CHECK_EQ(ram->hpa.v + (at - ram->base.v), to);
		return;
	}
	CHECK((to >= BAR0 && to + size <= BAR0 + 0x20000 &&
	       (to + size <= BAR0 + TABLE || to >= BAR0 + TABLE + PAGE_SIZE)) ||
	      (to >= 0x3800004000 && to + size <= 0x3800008000));
	CHECK(at + size <= 0xfec00000 || at >= 0xfee01000 ||
	      (at >= 0xfec01000 && at + size <= 0xfee00000));
	CHECK(at + size <= VPCI_ECAM_BASE || at >= VPCI_ECAM_BASE + VPCI_ECAM_SIZE);
}

static void check_table(hpa_t table, unsigned level, uint64_t at)
{
	const uint64_t *e = host_ptr(table);
	uint64_t span = BIT(12 + 9 * (level - 1));

	for (unsigned i = 0; i < 512; i++, at += span) {
		if (!e[i]) {
			continue;
		}
		if (level == 1 || e[i] & BIT(7)) {
			check_leaf(at, e[i] & FIELD(51, 12), span);
		} else {
			check_table(hpa(e[i] & FIELD(51, 12)), level - 1, at);
		}
	}
}

TEST(a_guest_that_writes_anything_anywhere_harms_itself)
{
	unsigned steps = 0, armed = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		fake_pci_reset();
		hw = card(pci_bdf(0, 3, 0), 11);
		fake_pci_set(hw, 0x78, 2, 0x2810);
		other = card(pci_bdf(0, 5, 0), 10);
		start_with("pci = 00:03.0\non-crash = restart");
		passthrough_silence_rest();
		before = *hw;
		other_before = *other;
		for (unsigned n = 0; n < STEPS && !p->finished; n++) {
			step();
			steps++;
			armed += fake_pci_get(hw, 0xd2, 2) & MSI_ENABLE;
			for (unsigned i = 0; i < ENTRIES; i++) {
				armed += !(entry(i, 3) & MSIX_ENTRY_MASKED);
			}
			check_device();
			check_messages();
			if (n % 64 == 0) {
				check_table(p->npt.root, 4, 0);
			}
		}
	}
	CHECK(steps > 20000 && armed > 2000); /* it was neither dead nor deaf */
}
