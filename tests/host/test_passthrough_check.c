/*
 * What cannot be passed through: refusals of hv/passthrough_check.c.
 */
#include "hv/lib/printf.h"
#include "test.h"
#include "tests/fake/passthrough_rig.h"

static uint64_t memory_bar = BAR0; /* where firmware has put BAR 0 of the card under test */

static const char *taken(void *ctx, uint64_t base, uint64_t size)
{
	(void)ctx;
	return base < 0x200000 && base + size > 0x100000 ? "memory" : NULL;
}

static bool one_device;	    /* 00:03.1 is there too */
static unsigned needs_line; /* functions on line 9 that have nothing else */

static const char *check(const char *text, bool msi)
{
	static const struct config_machine machine = {.mmio_taken = taken};
	static struct config c;
	static struct refusal r;
	struct fake_function *other;

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_bar(hw, 0, 0x20000, 0, memory_bar);
	other = card(pci_bdf(0, 4, 0), 11);
	if (one_device) {
		fake_pci_set(hw, PCI_HEADER_TYPE, 1, 0x80);
		card(pci_bdf(0, 3, 1), 10);
	}
	if (!msi) {
		fake_pci_set(hw, PCI_STATUS, 2, 0);
		fake_pci_set(other, PCI_STATUS, 2, 0);
	}
	for (unsigned i = 0; i < 2 && needs_line; i++) {
		fake_pci_set(i ? other : hw, PCI_LINE, 1, 9);
		if (i < needs_line) {
			fake_pci_set(i ? other : hw, PCI_STATUS, 2, 0);
		}
	}
	fake_pci_set(fake_pci_add(pci_bdf(0, 0, 0), 0x29c08086, 0x06000000), PCI_HEADER_TYPE, 1,
		     0x80);
	fake_pci_add(pci_bdf(0, 0, 2), 0x14191022, 0x08060000);
	pci_enumerate(&no_acpi);
	r.text[0] = 0;
	if (!config_parse(&c, "a.conf", text, strlen(text), &r)) {
		return r.text;
	}
	return passthrough_check(&c, &machine, &r) ? "" : r.text;
}

/* The same with a second function of the device. */
static const char *check_group(const char *text, bool with_iommu)
{
	static const struct iommu_ops any;
	const char *said;

	one_device = true;
	iommu = with_iommu ? &any : NULL;
	said = check(text, true);
	iommu = NULL;
	one_device = false;
	return said;
}

#define G(name, cpu, rest)                                                                         \
	"[guest " name "]\ncpus = " cpu "\nmemory = 4M\nkernel = " name "\n" rest "\n"
#define UNSAFE "\ndma = unsafe-identity"

TEST(what_cannot_be_passed_is_refused)
{
	CHECK_STR(check(G("a", "1", "pci = 00:09.0"), true),
		  "a.conf:5:7: error: guest a: PCI 00:09.0 is not there; the log lists what this "
		  "machine has");
	CHECK_STR(check(G("a", "1", "pci = 00:00.0"), true),
		  "a.conf:5:7: error: guest a: PCI 00:00.0 is a bridge; only devices are passed "
		  "through");
	CHECK_STR(check(G("a", "1", "pci = 00:00.2"), true),
		  "a.conf:5:7: error: guest a: PCI 00:00.2 is an IOMMU, which is Mullion's");
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0"), true), "`dma = unsafe-identity`"));
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true), "");
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:04.0" UNSAFE),
			true),
		  "");
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:04.0" UNSAFE),
			false),
		  "a.conf:11:7: error: PCI 00:03.0 of guest a and 00:04.0 of guest b share "
		  "interrupt line 11; give both to one guest");
}

TEST(what_cannot_master_the_bus_needs_no_iommu)
{
	static const struct config_machine machine = {.mmio_taken = taken};
	static const char text[] = G("a", "1", "pci = 00:03.0");
	static struct config c;
	struct refusal r = {""};

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	hw->writable[PCI_COMMAND] = 3;
	pci_enumerate(&no_acpi);
	CHECK(config_parse(&c, "a.conf", text, strlen(text), &r));
	CHECK(passthrough_check(&c, &machine, &r));
	CHECK(!pci_functions[0].master);
}

TEST(a_group_is_for_one_guest)
{
	static const char split[] = G("a", "1", "pci = 00:03.0") G("b", "2", "pci = 00:03.1");
	static const char unsafe[] = G("a", "1", "pci = 00:03.0" UNSAFE)
		G("b", "2", "pci = 00:03.1" UNSAFE);
	static const char half[] = G("a", "1", "pci = 00:03.0" UNSAFE) G("b", "2", "pci = 00:03.1");

	CHECK_STR(
		check_group(split, true),
		"a.conf:10:7: error: PCI 00:03.0 of guest a and 00:03.1 of guest b are one device, "
		"which does not keep its functions apart (no ACS); give both to one guest");
	CHECK(strstr(check_group(half, true), "give both to one guest"));
	fake_log_reset();
	CHECK_STR(check_group(unsafe, true), "");
	CHECK(strstr(fake_log, "WARNING: PCI 00:03.0 of guest a and 00:03.1 of guest b are one"));
	fake_log_reset();
	CHECK_STR(check_group(unsafe, false), "");
	CHECK(strstr(fake_log, "WARNING: PCI 00:03.0 of guest a"));
	CHECK_STR(check_group(G("a", "1", "pci = 00:03.0, 00:03.1") G("b", "2", "pci = 00:04.0"),
			      true),
		  "");
}

TEST(what_one_guest_drives_no_other_has)
{
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE)
				G("b", "2", "mmio = 0xfeb9f000-0xfeb9ffff"),
			true),
		  "a.conf:5:7: error: guest a: PCI 00:03.0 has BAR 0 where guest b has `mmio`");
	CHECK_STR(check(G("b", "2", "ports = 0xc050-0xc053") G("a", "1", "pci = 00:03.0" UNSAFE),
			true),
		  "a.conf:10:7: error: guest a: PCI 00:03.0 has BAR 2 where guest b has `ports`");
	CHECK_STR(check(G("a", "1", "pci = 00:03.0\nports = 0xc050-0xc053" UNSAFE), true), "");
}

/* With messages a function gives way to one that has nothing but the line. */
TEST(a_line_of_two_guests_is_the_ones_that_needs_it)
{
	static const char text[] = G("a", "1", "pci = 00:03.0" UNSAFE)
		G("b", "2", "pci = 00:04.0" UNSAFE);

	needs_line = 1; /* one of the two */
	CHECK_STR(check(text, true), "");
	needs_line = 2;
	CHECK_STR(check(text, true),
		  "a.conf:11:7: error: PCI 00:03.0 of guest a and 00:04.0 of guest b share "
		  "interrupt line 9; give both to one guest");
	needs_line = 0;
}

TEST(a_bar_that_firmware_left_at_a_bad_place_is_refused)
{
	memory_bar = 0;
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		  "a.conf:5:7: error: guest a: PCI 00:03.0 has BAR 0 without an address, as the "
		  "firmware left it, and only firmware knows where the root bus has room; have the "
		  "firmware's setup assign all devices (no `PnP OS`, `above 4G decoding`)");
	memory_bar = 0x180000;
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "guest a: PCI 00:03.0 has BAR 0 over memory, as the firmware left it"));
	memory_bar = BAR0 - 8 * 0x80000; /* that of 00:04.0 */
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "PCI 00:03.0 has BAR 0 over one of 00:04.0, as"));
	memory_bar = BAR0;
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true), "");
}

/* --- behind a bridge --- */

static struct fake_function *above;

static const char *check_behind(uint64_t bar0)
{
	static const char text[] = G("a", "1", "pci = 02:00.0" UNSAFE);
	static const struct config_machine machine = {.mmio_taken = taken};
	static struct config c;
	static struct refusal r;

	fake_pci_reset();
	fake_log_reset();
	above = fake_pci_add(pci_bdf(0, 28, 0), 0x00081b36, 0x06040000);
	fake_pci_set(above, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(above, PCI_BUSES + 1, 2, 0x0202);
	fake_pci_set(above, PCI_MEMORY_WINDOW, 4, 0xfe90fe80);
	fake_pci_set(above, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	hw = fake_pci_add(pci_bdf(2, 0, 0), 0x10d38086, 0x02000000);
	fake_pci_bar(hw, 0, 0x20000, 0, bar0);
	fake_pci_bar(hw, 1, 0x20, PCI_BAR_IO, 0xc040);
	pci_enumerate(&no_acpi);
	pci_functions[1].bar[1] = (struct pci_bar){0};
	r.text[0] = 0;
	CHECK(config_parse(&c, "a.conf", text, strlen(text), &r));
	return passthrough_check(&c, &machine, &r) ? "" : r.text;
}

TEST(a_bar_without_a_good_place_gets_one_behind_a_bridge)
{
	static const uint64_t places[] = {0, 0x180000, 0xfea00000};
	static const char *const told[] = {"without an address", "outside the windows of 00:1c.0",
					   "outside the windows of 00:1c.0"};
	char line[128];

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		CHECK_STR(check_behind(places[i]), "");
		CHECK_EQ(fake_pci_get(hw, PCI_BAR0, 4), 0xfe800000);
		fmt_print(line, sizeof(line),
			  "PCI 02:00.0: firmware left BAR 0 %s; it is at 0xfe800000 now", told[i]);
		CHECK(strstr(fake_log, line));
	}
	CHECK_STR(check_behind(0xfe820000), "");
	CHECK_EQ(fake_pci_get(hw, PCI_BAR0, 4), 0xfe820000);
	CHECK(!strstr(fake_log, "firmware left BAR"));
}

/* As one that says more than it has: such pages cannot be mapped at all. */
TEST(a_bar_beyond_all_addresses_is_refused)
{
	static const struct config_machine machine = {.mmio_taken = taken};
	static const char text[] = G("a", "1", "pci = 00:03.0" UNSAFE);
	static struct config c;
	struct refusal r = {""};

	fake_pci_reset();
	hw = card(pci_bdf(0, 3, 0), 11);
	fake_pci_bar(hw, 4, 0x4000, PCI_BAR_WIDE, BIT(60));
	pci_enumerate(&no_acpi);
	CHECK(config_parse(&c, "a.conf", text, strlen(text), &r));
	CHECK(!passthrough_check(&c, &machine, &r));
	CHECK(strstr(r.text, "has BAR 4 beyond this CPU's addresses, as"));
}

TEST(a_bridge_that_is_off_and_unsound_is_refused)
{
	check_behind(0xfe820000);
	fake_pci_set(above, PCI_COMMAND, 2, 0);
	fake_pci_set(above, PCI_MEMORY_WINDOW, 4, 0x00100010); /* over memory */
	{
		static const struct config_machine machine = {.mmio_taken = taken};
		static const char text[] = G("a", "1", "pci = 02:00.0" UNSAFE);
		static struct config c;
		struct refusal r = {""};

		fake_pci_set(above, PCI_PREFETCHABLE_WINDOW, 4, 0xfe90fe80);
		pci_enumerate(&no_acpi);
		pci_functions[1].bar[1] = (struct pci_bar){0};
		CHECK(config_parse(&c, "a.conf", text, strlen(text), &r));
		CHECK(!passthrough_check(&c, &machine, &r));
		CHECK(strstr(r.text, "PCI 02:00.0 is behind bridge 00:1c.0, which is off and"));
	}
}
