/*
 * hv/pci_place.c: where BARs without an address may be, and which bridges may be opened.
 */
#include "drivers/pci_access.h"
#include "hv/pci_place.h"
#include "test.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_pci.h"
#include "tests/fake/rng.h"

static const struct acpi_info no_acpi;
static uint64_t taken_base, taken_size; /* what pci_machine's function has there */

static const char *taken(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return taken_size && base < taken_base + taken_size && taken_base < base + size ? "RAM"
											: NULL;
}

static const struct pci_machine machine = {.taken = taken};

static void set_windows(struct fake_function *b, unsigned io, uint32_t memory, unsigned mib,
			uint64_t fast, unsigned fast_mib)
{
	uint64_t last = fast + MIB((uint64_t)fast_mib) - 1;

	if (io) { /* of 4 KiB */
		fake_pci_set(b, PCI_IO_WINDOW, 2, io >> 8 | io);
	}
	if (mib) {
		fake_pci_set(b, PCI_MEMORY_WINDOW, 4,
			     memory >> 16 | ((memory + MIB(mib) - 1) & 0xfff00000));
	}
	if (fast_mib) {
		fake_pci_set(b, PCI_PREFETCHABLE_WINDOW, 4,
			     ((uint32_t)fast >> 16 | 1) | ((uint32_t)last & 0xfff00000) | 1 << 16);
		fake_pci_set(b, PCI_PREFETCHABLE_WINDOW + 4, 4, (uint32_t)(fast >> 32));
		fake_pci_set(b, PCI_PREFETCHABLE_WINDOW + 8, 4, (uint32_t)(last >> 32));
	}
}

static struct fake_function *bridge(uint16_t bdf, unsigned secondary)
{
	struct fake_function *f = fake_pci_add(bdf, 0x00081b36, 0x06040000);

	fake_pci_set(f, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(f, PCI_BUSES + 1, 2, secondary * 0x101);
	fake_pci_set(f, PCI_COMMAND, 2, 7);
	return f;
}

/* Memory, small memory, ports, and memory that may be read ahead: none has an address. */
static struct fake_function *card(uint16_t bdf)
{
	struct fake_function *f = fake_pci_add(bdf, 0x10d38086, 0x02000000);

	fake_pci_bar(f, 0, 0x20000, 0, 0);
	fake_pci_bar(f, 1, 0x80, 0, 0);
	fake_pci_bar(f, 2, 0x20, PCI_BAR_IO, 0);
	fake_pci_bar(f, 3, 0x4000, PCI_BAR_WIDE | PCI_BAR_PREFETCHABLE, 0);
	return f;
}

static struct pci_function *found(uint16_t bdf)
{
	return &pci_functions[pci_find(bdf) - pci_functions];
}

static void fresh(void)
{
	fake_pci_reset();
	fake_log_reset();
	taken_size = 0;
}

static const char *place(struct pci_function *f, unsigned bar)
{
	const char *why = "";

	return pci_place_bar(f, bar, &machine, &why) ? "" : why;
}

TEST(every_kind_gets_a_place_in_its_window)
{
	struct fake_function *hw;
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0x2000, 0xfe800000, 2, 0x3800000000, 1);
	hw = card(0x200);
	fake_pci_set(hw, PCI_COMMAND, 2, 7);
	pci_enumerate(&no_acpi);
	f = found(0x200);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_STR(place(f, i), "");
	}
	CHECK_EQ(f->bar[0].base, 0xfe800000);
	CHECK_EQ(f->bar[1].base, 0xfe820000);
	CHECK_EQ(f->bar[2].base, 0x2000);
	CHECK_EQ(f->bar[3].base, 0x3800000000);
	CHECK_EQ(fake_pci_get(hw, PCI_BAR0, 4), 0xfe800000);
	CHECK_EQ(fake_pci_get(hw, PCI_BAR0 + 8, 4), 0x2001);
	CHECK_EQ(fake_pci_get(hw, PCI_BAR0 + 12, 4), 0xc);
	CHECK_EQ(fake_pci_get(hw, PCI_BAR0 + 16, 4), 0x38);
	CHECK_EQ(fake_pci_get(hw, PCI_COMMAND, 2), 7);
}

TEST(what_others_have_is_left_to_them)
{
	struct fake_function *other, *inner;
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0, 0xfe800000, 6, 0, 0);
	card(0x200);
	other = fake_pci_add(0x208, 0x10d38086, 0x02000000); /* not decoded, but it keeps it */
	fake_pci_bar(other, 0, 0x100000, 0, 0xfe800000);
	inner = bridge(0x210, 3); /* a window, and registers of its own */
	set_windows(inner, 0, 0xfe900000, 1, 0, 0);
	fake_pci_bar(inner, 0, 0x1000, 0, 0xfea00000);
	card(0x300);
	taken_base = 0xfeb00000;
	taken_size = MIB(1);
	pci_enumerate(&no_acpi);
	f = found(0x200);
	CHECK_EQ(found(0x210)->bar[0].size, 0x1000);
	CHECK_EQ(fake_pci_get(inner, PCI_COMMAND, 2), 7);
	CHECK_STR(place(f, 0), "");
	CHECK_EQ(f->bar[0].base, 0xfea20000); /* its alignment */
	CHECK_STR(place(f, 1), "");
	CHECK_EQ(f->bar[1].base, 0xfea01000); /* a page of its own */
	taken_base = 0xfea20000;
	taken_size = 0x1e0000;
	fake_pci[1].writable[PCI_BAR0 + 2] = 0;
	CHECK_STR(place(f, 0), "it takes no address");
	CHECK_EQ(f->bar[0].base, 0xfea20000);
	taken_base = 0xfe000000;
	taken_size = MIB(16);
	CHECK_STR(place(f, 1), "the windows of the bridges above it have no room");
}

/* "ISA Enable": of each KiB a bridge forwards the first 256 ports. */
TEST(ports_are_no_aliases_of_a_pcs_own)
{
	struct fake_function *other;
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0x2000, 0, 0, 0, 0);
	other = fake_pci_add(0x208, 0x10d38086, 0x02000000);
	fake_pci_bar(other, 0, 0x100, PCI_BAR_IO, 0x2000);
	card(0x200);
	pci_enumerate(&no_acpi);
	f = found(0x200);
	CHECK_STR(place(f, 2), "");
	CHECK_EQ(f->bar[2].base, 0x2400);
}

TEST(a_rom_that_is_on_is_in_the_way)
{
	struct fake_function *other;
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0, 0xfc000000, 32, 0, 0);
	card(0x200);
	other = card(0x208);
	fake_pci_set(other, PCI_ROM, 4, 0xfc000001);
	pci_enumerate(&no_acpi);
	f = found(0x200);
	CHECK_STR(place(f, 0), "");
	CHECK_EQ(f->bar[0].base, 0xfd000000);
	fake_pci_set(other, PCI_ROM, 4, 0xfc000000); /* now it is off */
	CHECK_STR(place(f, 0), "");
	CHECK_EQ(f->bar[0].base, 0xfc000000);
}

TEST(all_bridges_above_must_let_it_through)
{
	const struct pci_function *at = NULL;
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0, 0xfe900000, 1, 0x3800000000, 1);
	set_windows(bridge(0x200, 3), 0, 0xfe800000, 2, 0x3800100000, 1);
	card(0x300);
	pci_enumerate(&no_acpi);
	f = found(0x300);
	CHECK_STR(place(f, 0), "");
	CHECK_EQ(f->bar[0].base, 0xfe900000);
	CHECK_STR(place(f, 3), ""); /* the other window leads nowhere */
	CHECK_EQ(f->bar[3].base, 0xfe920000);
	CHECK_STR(place(f, 2), "the windows of the bridges above it have no room");
	CHECK(pci_reaches(f, false, 0xfe900000, 0x100000, &at));
	CHECK(!pci_reaches(f, false, 0xfe800000, 0x1000, &at));
	CHECK_EQ(at->bdf, 0xe0);
	CHECK(!pci_reaches(f, false, 0xfea00000, 0x1000, &at));
	CHECK_EQ(at->bdf, 0x200);
	CHECK(pci_reaches(found(0xe0), false, 0x1000, 0x1000, &at)); /* the root bus */
}

TEST(a_narrow_bar_is_below_4_gib)
{
	struct pci_function *f;

	fresh();
	set_windows(bridge(0xe0, 2), 0, 0xfe800000, 1, 0x3800000000, 1);
	fake_pci_bar(card(0x200), 0, 0x20000, PCI_BAR_PREFETCHABLE, 0);
	pci_enumerate(&no_acpi);
	f = found(0x200);
	CHECK_STR(place(f, 0), "");
	CHECK_EQ(f->bar[0].base, 0xfe800000);
	found(0xe0)->window[PCI_WINDOW_MEMORY].size = 0;
	CHECK_STR(place(f, 0), "the windows of the bridges above it have no room");
}

TEST(not_on_the_root_bus_nor_behind_what_has_no_windows)
{
	const struct pci_function *at;
	struct fake_function *b;

	fresh();
	card(0x18);
	b = bridge(0xe0, 2); /* whatever its windows say, it forwards more */
	fake_pci_set(b, PCI_CLASS_REVISION, 4, 0x06040100);
	set_windows(b, 0, 0xfe800000, 1, 0, 0);
	card(0x200);
	pci_enumerate(&no_acpi);
	CHECK_STR(place(found(0x18), 0), "only firmware knows where the root bus has room");
	CHECK_STR(place(found(0x200), 0), "the windows of the bridges above it have no room");
	CHECK(pci_reaches(found(0x200), false, 0xd0000000, 0x1000, &at));
}

TEST(closed_windows_are_none)
{
	struct fake_function *b;
	const struct pci_function *f;

	fresh();
	b = bridge(0xe0, 2);
	pci_enumerate(&no_acpi); /* all 0, as after a reset */
	f = found(0xe0);
	for (unsigned k = 0; k < PCI_WINDOWS; k++) {
		CHECK_EQ(f->window[k].size, 0);
	}
	fake_pci_set(b, PCI_IO_WINDOW, 2, 0x01f1);
	fake_pci_set(b, PCI_MEMORY_WINDOW, 4, 0x0000fff0);
	fake_pci_set(b, PCI_PREFETCHABLE_WINDOW, 4, 0x0001fff1);
	pci_enumerate(&no_acpi);
	for (unsigned k = 0; k < PCI_WINDOWS; k++) {
		CHECK_EQ(f->window[k].size, 0);
	}
	fake_pci_set(b, PCI_IO_WINDOW, 2, 0xf1e1);
	fake_pci_set(b, PCI_MEMORY_WINDOW, 4, 0xfff0fff0);
	pci_enumerate(&no_acpi);
	CHECK(f->window[PCI_WINDOW_IO].base == 0xe000 && f->window[PCI_WINDOW_IO].size == 0x2000);
	CHECK(f->window[PCI_WINDOW_MEMORY].base == 0xfff00000 &&
	      f->window[PCI_WINDOW_MEMORY].size == 0x100000);
	fake_pci_set(b, PCI_IO_WINDOW_UPPER, 4, 0x00010001); /* beyond 64 KiB */
	pci_enumerate(&no_acpi);
	CHECK_EQ(f->window[PCI_WINDOW_IO].size, 0);
}

TEST(bridges_that_are_off_are_opened_if_they_are_sound)
{
	const struct pci_function *at = NULL;
	struct fake_function *outer, *inner;

	fresh();
	outer = bridge(0xe0, 2);
	set_windows(outer, 0x2000, 0xfe800000, 2, 0, 0);
	inner = bridge(0x200, 3);
	set_windows(inner, 0x2000, 0xfe900000, 1, 0, 0);
	fake_pci_set(outer, PCI_COMMAND, 2, PCI_COMMAND_SERR);
	fake_pci_set(inner, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	fake_pci_bar(card(0x300), 2, 1, PCI_BAR_IO, 0);
	pci_enumerate(&no_acpi);
	found(0x300)->bar[2] = (struct pci_bar){0}; /* memory only */
	CHECK(pci_way_is_sound(found(0x300), &machine, &at));
	CHECK_EQ(fake_pci_get(outer, PCI_COMMAND, 2), PCI_COMMAND_SERR);
	pci_open_way(found(0x300));
	CHECK_EQ(fake_pci_get(outer, PCI_COMMAND, 2),
		 PCI_COMMAND_SERR | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(fake_pci_get(inner, PCI_COMMAND, 2), 7);

	fake_pci_set(inner, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	taken_base = 0xfe900000;
	taken_size = 0x1000;
	CHECK(!pci_way_is_sound(found(0x300), &machine, &at));
	CHECK_EQ(at->bdf, 0x200);
	taken_size = 0;
	set_windows(inner, 0, 0xfea00000, 1, 0, 0); /* not what the outer one lets through */
	pci_enumerate(&no_acpi);
	CHECK(!pci_way_is_sound(found(0x300), &machine, &at));
	fake_pci_set(inner, PCI_COMMAND, 2,
		     PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY |
			     PCI_COMMAND_IO); /* firmware's own affair */
	CHECK(pci_way_is_sound(found(0x300), &machine, &at));
}

/* --- whatever windows and neighbours there are --- */

static void furnish(void)
{
	fresh();
	set_windows(bridge(0xe0, 2), 0x2000, 0xfe000000, 1 + (unsigned)rng_below(8), 0x3800000000,
		    1);
	set_windows(bridge(0xe8, 4), 0x3000, 0xfe000000u + (uint32_t)MIB(rng_below(8)), 1, 0, 0);
	for (unsigned n = 0; n < 8; n++) {
		struct fake_function *o = fake_pci_add(pci_bdf(2, n, 0), 0x10001, 0x02000000);
		uint64_t size = 0x1000ull << rng_below(9);
		uint64_t at = 0xfe000000 + ALIGN_DOWN(rng_below(MIB(8)), size);

		fake_pci_bar(o, 0, size, 0, rng_below(2) ? 0 : at);
	}
	pci_enumerate(&no_acpi);
}

static bool are_apart(const struct pci_bar *b, uint64_t base, uint64_t size)
{
	return !base || base >= b->base + b->size || b->base >= base + size;
}

static void check_apart(const struct pci_function *f)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		const struct pci_function *o = &pci_functions[i];
		const struct pci_window *w = &o->window[PCI_WINDOW_MEMORY];

		CHECK(o == f || are_apart(&f->bar[0], o->bar[0].base, o->bar[0].size));
		CHECK(o->bdf != 0xe8 || are_apart(&f->bar[0], w->base, w->size));
	}
}

TEST(places_are_inside_aligned_and_nobody_elses)
{
	const struct pci_function *at;
	unsigned placed = 0;

	for (unsigned round = 0; round < 200; round++) {
		furnish();
		for (unsigned n = 0; n < 8; n++) {
			struct pci_function *f = found(pci_bdf(2, n, 0));

			if (!f->bar[0].base && !place(f, 0)[0]) {
				placed++;
				CHECK(pci_reaches(f, false, f->bar[0].base, f->bar[0].size, &at));
				CHECK_EQ(f->bar[0].base & (f->bar[0].size - 1), 0);
				check_apart(f);
			}
		}
	}
	CHECK(placed > 200);
}
