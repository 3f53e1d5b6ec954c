/*
 * What cannot be passed through: refusals of hv/passthrough_check.c.
 */
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
		  "firmware left it; have the firmware's setup assign all devices (no `PnP OS`, "
		  "`above 4G decoding`)");
	memory_bar = 0x180000;
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "guest a: PCI 00:03.0 has BAR 0 over memory, as the firmware left it"));
	memory_bar = BAR0 - 8 * 0x80000; /* that of 00:04.0 */
	CHECK(strstr(check(G("a", "1", "pci = 00:03.0" UNSAFE), true),
		     "PCI 00:03.0 has BAR 0 over one of 00:04.0, as"));
	memory_bar = BAR0;
	CHECK_STR(check(G("a", "1", "pci = 00:03.0" UNSAFE), true), "");
}
