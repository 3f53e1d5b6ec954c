/*
 * hv/pci_group.c: who is in one group and what requests carry, on trees that are as they should be,
 * and on others.
 */
#include "hv/pci_group.h"
#include "test.h"

static void fresh(void)
{
	memset(pci_functions, 0, sizeof(pci_functions));
	pci_function_count = 0;
}

static struct pci_function *add(uint16_t bdf)
{
	struct pci_function *f = &pci_functions[pci_function_count++];

	*f = (struct pci_function){.bdf = bdf, .vendor = 0x1b36};
	return f;
}

static struct pci_function *device(unsigned bus, unsigned dev, unsigned function)
{
	return add(pci_bdf(bus, dev, function));
}

static struct pci_function *express(unsigned bus, unsigned dev, unsigned function,
				    enum pcie_type type)
{
	struct pci_function *f = device(bus, dev, function);

	f->cap_pcie = 0x40;
	f->pcie_type = (uint8_t)type;
	return f;
}

static void set_buses(struct pci_function *f, unsigned secondary, unsigned subordinate)
{
	f->header_type = 1;
	f->secondary = (uint8_t)secondary;
	f->subordinate = (uint8_t)subordinate;
}

static struct pci_function *port(unsigned bus, unsigned dev, unsigned function, enum pcie_type type,
				 unsigned secondary, unsigned subordinate)
{
	struct pci_function *f = express(bus, dev, function, type);

	set_buses(f, secondary, subordinate);
	return f;
}

static struct pci_function *acs(struct pci_function *f, unsigned has, unsigned on)
{
	f->cap_acs = 0x148;
	f->acs = (uint16_t)has;
	f->acs_on = (uint16_t)on;
	return f;
}

static struct pci_function *conventional(unsigned bus, unsigned dev, unsigned function,
					 unsigned secondary, unsigned subordinate)
{
	struct pci_function *f = device(bus, dev, function);

	set_buses(f, secondary, subordinate);
	return f;
}

static void group(void)
{
	pci_group_all(pci_functions, pci_function_count);
}

static unsigned group_of(unsigned bus, unsigned dev, unsigned function)
{
	return pci_find(pci_bdf(bus, dev, function))->group;
}

static unsigned requester(unsigned bus, unsigned dev, unsigned function)
{
	return pci_requester(pci_bdf(bus, dev, function));
}

static const char *why(uint16_t a, uint16_t b)
{
	return pci_group_why(pci_find(a), pci_find(b));
}

TEST(devices_of_bus_0_are_apart_functions_of_one_are_not)
{
	fresh();
	device(0, 2, 0);
	device(0, 3, 0);
	device(0, 0x1f, 0);
	device(0, 0x1f, 2);
	express(0, 0x1f, 3, PCIE_INTEGRATED);
	express(0, 0x1f, 6, PCIE_INTEGRATED)->vendor = 0x8086;
	acs(express(0, 4, 0, PCIE_ENDPOINT), 0, 0);
	acs(express(0, 4, 1, PCIE_ENDPOINT), 0x1c, 0x1c);
	acs(express(0, 4, 2, PCIE_ENDPOINT), 0x1c, 0x14);
	express(0, 4, 3, PCIE_ENDPOINT);
	group();
	CHECK_EQ(group_of(0, 2, 0), 0x10);
	CHECK_EQ(group_of(0, 3, 0), 0x18);
	CHECK_EQ(group_of(0, 0x1f, 2), 0xf8);
	CHECK_EQ(group_of(0, 0x1f, 3), 0xf8);
	CHECK_EQ(group_of(0, 0x1f, 6), 0xfe); /* Intel's go through the root complex */
	CHECK_EQ(group_of(0, 4, 0), 0x20);
	CHECK_EQ(group_of(0, 4, 1), 0x21);
	CHECK_EQ(group_of(0, 4, 2), 0x22); /* of the two that are left the first names it */
	CHECK_EQ(group_of(0, 4, 3), 0x22);
	CHECK(strstr(why(0xfa, 0xfb), "one device"));
}

TEST(root_ports_with_acs_keep_apart_others_with_their_device)
{
	fresh();
	acs(port(0, 5, 0, PCIE_ROOT_PORT, 1, 1), 0x1d, 0x1d);
	acs(port(0, 5, 1, PCIE_ROOT_PORT, 2, 2), 0x1d, 0x1d);
	port(0, 6, 0, PCIE_ROOT_PORT, 3, 3);
	port(0, 6, 1, PCIE_ROOT_PORT, 4, 4);
	port(0, 7, 0, PCIE_ROOT_PORT, 5, 5);
	acs(port(0, 8, 0, PCIE_ROOT_PORT, 6, 6), 0x1d, 0x0d); /* a bit that does not turn on */
	for (unsigned bus = 1; bus <= 6; bus++) {
		express(bus, 0, 0, PCIE_ENDPOINT);
	}
	group();
	CHECK_EQ(group_of(1, 0, 0), 0x100);
	CHECK_EQ(group_of(2, 0, 0), 0x200);
	CHECK_EQ(group_of(3, 0, 0), 0x30);
	CHECK_EQ(group_of(4, 0, 0), 0x30);
	CHECK_EQ(group_of(5, 0, 0), 0x38);
	CHECK_EQ(group_of(6, 0, 0), 0x40);
	CHECK_EQ(requester(4, 0, 0), 0x400);
	CHECK(strstr(why(0x300, 0x400), "are behind functions of one device"));
}

static void switch_with(unsigned has, unsigned on)
{
	fresh();
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 4), 0x1d, 0x1d);
	port(1, 0, 0, PCIE_UPSTREAM, 2, 4);
	acs(port(2, 0, 0, PCIE_DOWNSTREAM, 3, 3), has, on);
	acs(port(2, 1, 0, PCIE_DOWNSTREAM, 4, 4), has, on);
	express(3, 0, 0, PCIE_ENDPOINT);
	express(4, 0, 0, PCIE_ENDPOINT);
	group();
}

TEST(a_switch_keeps_apart_by_its_downstream_ports)
{
	switch_with(0x1d, 0x1d);
	CHECK_EQ(group_of(3, 0, 0), 0x300);
	CHECK_EQ(group_of(4, 0, 0), 0x400);
	switch_with(0x1d, 0);
	CHECK_EQ(group_of(3, 0, 0), 0x100); /* through the switch's own bus */
	CHECK_EQ(group_of(4, 0, 0), 0x100);
	CHECK(strstr(why(0x300, 0x400), "behind one port or switch"));
	switch_with(0, 0); /* nothing is listed: nothing lets requests by */
	CHECK_EQ(group_of(3, 0, 0), 0x300);
	pci_functions[2].cap_acs = 0; /* what is below it reaches the other's */
	group();
	CHECK_EQ(group_of(0, 1, 0), 0x08);
	CHECK_EQ(group_of(3, 0, 0), 0x100);
	CHECK_EQ(group_of(4, 0, 0), 0x100);
}

TEST(a_port_without_acs_joins_all_below)
{
	switch_with(0x1d, 0x1d);
	pci_functions[0].cap_acs = 0; /* the root port */
	group();
	CHECK_EQ(group_of(3, 0, 0), 0x08);
	CHECK_EQ(group_of(4, 0, 0), 0x08);
	CHECK(strstr(why(0x300, 0x400), "behind one port or switch"));
}

TEST(behind_a_bridge_to_pci_all_are_one_and_carry_its_id)
{
	fresh();
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 3), 0x1d, 0x1d);
	port(1, 0, 0, PCIE_TO_PCI, 2, 3);
	device(2, 1, 0);
	device(2, 2, 0);
	conventional(2, 3, 0, 3, 3);
	device(3, 7, 1);
	conventional(0, 0x1e, 0, 9, 9); /* on the root bus its requests carry its own id */
	device(9, 1, 0);
	device(9, 2, 0);
	group();
	CHECK_EQ(group_of(2, 1, 0), 0x100);
	CHECK_EQ(group_of(3, 7, 1), 0x100);
	CHECK_EQ(requester(1, 0, 0), 0x100);
	CHECK_EQ(requester(2, 1, 0), 0x200);
	CHECK_EQ(requester(2, 2, 0), 0x200);
	CHECK_EQ(requester(3, 7, 1), 0x200);
	CHECK_EQ(group_of(9, 2, 0), 0xf0);
	CHECK_EQ(requester(9, 2, 0), 0xf0);
	CHECK_EQ(requester(9, 3, 0), pci_bdf(9, 3, 0)); /* nobody */
	CHECK(strstr(why(pci_bdf(2, 1, 0), pci_bdf(3, 7, 1)), "conventional PCI"));
}

/* What contradicts itself is together, and ends. */
TEST(buses_that_overlap_are_one_group)
{
	fresh();
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 5), 0x1d, 0x1d);
	acs(port(0, 2, 0, PCIE_ROOT_PORT, 3, 3), 0x1d, 0x1d); /* inside 1-5, but not below */
	acs(port(0, 3, 0, PCIE_ROOT_PORT, 6, 6), 0x1d, 0x1d);
	express(1, 0, 0, PCIE_ENDPOINT);
	express(3, 0, 0, PCIE_ENDPOINT);
	express(6, 0, 0, PCIE_ENDPOINT);
	group();
	CHECK_EQ(group_of(3, 0, 0), 0x08);
	CHECK_EQ(group_of(6, 0, 0), 0x600);
	CHECK_STR(why(0x100, 0x300), "are on buses whose numbers contradict each other");
	fresh(); /* two bridges to one bus */
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 1), 0x1d, 0x1d);
	acs(port(0, 2, 0, PCIE_ROOT_PORT, 1, 1), 0x1d, 0x1d);
	express(1, 0, 0, PCIE_ENDPOINT);
	group();
	CHECK_EQ(group_of(1, 0, 0), 0x10);
}

TEST(loops_end_and_are_one_group)
{
	fresh();
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 1), 0x1d, 0x1d);
	express(1, 0, 0, PCIE_ENDPOINT);
	acs(port(2, 0, 0, PCIE_DOWNSTREAM, 3, 3), 0x1d, 0x1d); /* 2 -> 3 -> 2 */
	acs(port(3, 0, 0, PCIE_DOWNSTREAM, 2, 2), 0x1d, 0x1d);
	express(2, 1, 0, PCIE_ENDPOINT);
	port(4, 0, 0, PCIE_TO_PCI, 4, 4); /* itself */
	device(7, 0, 0);		  /* behind nothing: another root bus */
	group();
	CHECK_EQ(group_of(1, 0, 0), 0x100);
	CHECK_EQ(group_of(2, 1, 0), 0x200);
	CHECK_EQ(group_of(4, 0, 0), 0x200);
	CHECK_EQ(group_of(7, 0, 0), 0x700);
	CHECK_EQ(requester(2, 1, 0), 0x208);
	CHECK_EQ(requester(4, 0, 0), 0x400);
}

TEST(a_bus_that_a_bridge_claims_is_no_root_bus)
{
	fresh();
	acs(port(0, 2, 0, PCIE_ROOT_PORT, 8, 9), 0x1d, 0x1d);
	device(9, 0, 0);
	device(10, 0, 0);
	group();
	CHECK_EQ(group_of(9, 0, 0), 0x10);
	CHECK_EQ(group_of(10, 0, 0), 0xa00);
}

/* A sender may claim to have translated its requests: such are not to go to its neighbours. */
TEST(a_port_that_believes_claims_keeps_nothing_apart)
{
	for (unsigned believes = 0; believes < 2; believes++) {
		fresh();
		acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 1), 0x5f, believes ? 0x5f : 0x1f);
		express(1, 0, 0, PCIE_ENDPOINT);
		group();
		CHECK_EQ(group_of(1, 0, 0), believes ? 0x08 : 0x100);
	}
}

/* "Alternative Routing-ID Interpretation": function 8 of a device is at 1.0. */
TEST(behind_a_port_is_one_device)
{
	fresh();
	acs(port(0, 1, 0, PCIE_ROOT_PORT, 1, 1), 0x1d, 0x1d);
	express(1, 0, 0, PCIE_ENDPOINT);
	express(1, 1, 0, PCIE_ENDPOINT);
	acs(express(1, 2, 0, PCIE_ENDPOINT), 0x1d, 0x1d);
	group();
	CHECK_EQ(group_of(1, 1, 0), 0x100);
	CHECK_EQ(group_of(1, 2, 0), 0x110);
	CHECK_EQ(group_of(0, 1, 0), 0x08);
	CHECK_STR(why(0x100, 0x108), "are one device, which does not keep its functions apart (no "
				     "ACS)");
}

/* Every function a bridge with random buses: the time is what counts here. */
TEST(a_full_table_of_nonsense_ends)
{
	uint32_t random = 1;

	for (unsigned n = 0; n < 8; n++) {
		fresh();
		while (pci_function_count < PCI_FUNCTIONS) {
			random = random * 1664525 + 1013904223;
			port(random >> 24, random >> 19 & 31, random >> 16 & 7, random >> 12 & 15,
			     n < 4 ? (pci_function_count + 1) & 0xff : random >> 4 & 0xff, 255);
		}
		group();
		for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
			CHECK(pci_find(pci_functions[i].group) != NULL);
			CHECK(pci_functions[i].group <= pci_functions[i].bdf);
		}
	}
}
