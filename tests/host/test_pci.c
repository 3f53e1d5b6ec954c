/*
 * drivers/pci.c and pci_reset.c: what is found on buses that are as they should be, and on others.
 */
#include "drivers/pci_access.h"
#include "hv/iommu.h"
#include "test.h"
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_pci.h"

static const struct acpi_info no_acpi;

static void fresh(void)
{
	fake_pci_reset();
	fake_log_reset();
}

static struct fake_function *bridge(uint16_t bdf, unsigned secondary)
{
	struct fake_function *f = fake_pci_add(bdf, 0x00081b36, 0x06040000);

	fake_pci_set(f, PCI_HEADER_TYPE, 1, 1);
	fake_pci_set(f, PCI_BUSES + 1, 1, secondary);
	fake_pci_set(f, PCI_BUSES + 2, 1, secondary);
	f->writable[PCI_BRIDGE_CONTROL] = 0x40;
	return f;
}

/* A network card as QEMU's e1000e. */
static struct fake_function *card(uint16_t bdf)
{
	struct fake_function *f = fake_pci_add(bdf, 0x10d38086, 0x02000000);

	fake_pci_set(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fake_pci_set(f, PCI_LINE, 2, 0x010b);
	fake_pci_bar(f, 0, 0x20000, 0, 0xfeb80000);
	fake_pci_bar(f, 2, 0x20, PCI_BAR_IO, 0xc040);
	fake_pci_bar(f, 3, 0x4000, 0, 0xfebd0000);
	fake_pci_bar(f, 4, 0x1000000, PCI_BAR_WIDE | PCI_BAR_PREFETCHABLE, 0x380000000000);
	fake_pci_capability(f, 0xa0, PCI_CAP_MSIX, 12);
	fake_pci_set(f, 0xa2, 2, 4);
	fake_pci_set(f, 0xa4, 4, 3);
	fake_pci_set(f, 0xa8, 4, 0x2003);
	fake_pci_capability(f, 0xe0, PCI_CAP_PCIE, 0x3c);
	fake_pci_set(f, 0xe4, 4, PCIE_FLR_CAPABLE);
	fake_pci_capability(f, 0xd0, PCI_CAP_MSI, 14);
	fake_pci_set(f, 0xd2, 2, MSI_64 | 2 << 1);
	fake_pci_capability(f, 0xc8, PCI_CAP_PM, 8);
	return f;
}

TEST(finds_a_function_with_everything)
{
	const struct pci_function *p;
	struct fake_function *f, before;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	before = *f;
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, 1);
	p = pci_find(0x18);
	CHECK(p != NULL);
	CHECK_EQ(p->bar[0].size, 0x20000);
	CHECK_EQ(p->bar[0].base, 0xfeb80000);
	CHECK_EQ(p->bar[1].size, 0);
	CHECK_EQ(p->bar[2].size, 0x20);
	CHECK_EQ(p->bar[2].base, 0xc040);
	CHECK(p->bar[2].io && !p->bar[0].io);
	CHECK_EQ(p->bar[4].size, 0x1000000);
	CHECK_EQ(p->bar[4].base, 0x380000000000);
	CHECK(p->bar[4].wide && p->bar[4].prefetchable);
	CHECK_EQ(p->bar[5].size, 0);
	CHECK_EQ(p->msix_entries, 5);
	CHECK_EQ(p->msix_table_bar, 3);
	CHECK_EQ(p->msi_vectors, 4);
	CHECK(p->msi_64 && !p->msi_maskable && p->flr && p->master);
	CHECK_EQ(p->pin, 1);
	CHECK_EQ(p->line, 11);
	/* It is left as it was. */
	CHECK(memcmp(before.config, f->config, sizeof(before.config)) == 0);
	CHECK(strstr(fake_log,
		     "pci = 00:03.0  # 8086:10d3 network controller, MSI-X 5, MSI 4, 4 BARs"));
}

/* Firmware may have ended a device's DMA by this bit alone. */
TEST(nothing_is_made_a_bus_master_without_an_iommu)
{
	static const struct iommu_ops any;

	for (unsigned on = 0; on < 2; on++) {
		for (unsigned can = 0; can < 2; can++) {
			struct fake_function *f;

			fresh();
			f = card(pci_bdf(0, 3, 0));
			fake_pci_set(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
			f->writable[PCI_COMMAND] = can ? 7 : 3;
			iommu = on ? &any : NULL;
			pci_enumerate(&no_acpi);
			iommu = NULL;
			CHECK_EQ(f->seen & PCI_COMMAND_MASTER, on && can ? PCI_COMMAND_MASTER : 0);
			CHECK_EQ(pci_functions[0].master, !on || can);
			CHECK_EQ(pci_can_master(&pci_functions[0]), can);
			CHECK_EQ(fake_pci_get(f, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
		}
	}
}

TEST(follows_bridges_once)
{
	fresh();
	bridge(pci_bdf(0, 1, 0), 1);
	bridge(pci_bdf(1, 0, 0), 2);
	bridge(pci_bdf(2, 5, 0), 1); /* a loop */
	bridge(pci_bdf(2, 6, 0), 0); /* not set up: bus 0 once is enough */
	card(pci_bdf(2, 0, 0));
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, 5);
	CHECK(pci_find(pci_bdf(2, 0, 0)) != NULL);
	CHECK_EQ(pci_find(pci_bdf(0, 1, 0))->secondary, 1);
}

/* As the further CPUs of a large machine have them, without what is the CPUs' own. */
TEST(finds_further_root_buses)
{
	struct fake_function *f;

	fresh();
	fake_pci_set(bridge(pci_bdf(0, 1, 0), 1), PCI_BUSES + 2, 1, 3); /* 2 and 3 are kept free */
	card(pci_bdf(3, 0, 0));						/* contradicts it */
	f = fake_pci_add(pci_bdf(0x20, 0, 0), 0x6fa08086, 0x08800000);
	fake_pci_set(f, PCI_HEADER_TYPE, 1, 0x80);
	fake_pci_add(pci_bdf(0x20, 0, 1), 0x6fc08086, 0x11010000);
	fake_pci_add(pci_bdf(0x20, 1, 0), 0x20208086, 0x06000000);
	bridge(pci_bdf(0x20, 2, 0), 0x21);
	card(pci_bdf(0x20, 5, 0));
	card(pci_bdf(0x21, 0, 0));
	fake_pci_add(pci_bdf(0x21, 0, 1), 0x20218086, 0x08800000); /* a card's own is a device */
	fake_pci_set(&fake_pci[7], PCI_HEADER_TYPE, 1, 0x80);
	card(pci_bdf(0x81, 0, 0));
	pci_enumerate(&no_acpi); /* without ECAM: what bridges lead to */
	CHECK_EQ(pci_function_count, 1);
	fake_pci_last_bus = 0x80;
	f->writes = 0;
	pci_enumerate(&no_acpi);
	CHECK_EQ(f->writes, 0);
	CHECK_EQ(pci_function_count, 5);
	CHECK(pci_find(pci_bdf(0x20, 2, 0)) && pci_find(pci_bdf(0x20, 5, 0)));
	CHECK(pci_find(pci_bdf(0x21, 0, 0)) && pci_find(pci_bdf(0x21, 0, 1)));
	CHECK_EQ(pci_find(pci_bdf(0x20, 5, 0))->group, pci_bdf(0x20, 5, 0));
	CHECK_EQ(pci_find(pci_bdf(0x21, 0, 0))->group, pci_bdf(0x20, 2, 0));
	CHECK_EQ(pci_find(pci_bdf(0x20, 5, 0))->requester, pci_bdf(0x20, 5, 0));
	fake_pci_deaf_bus = 0x20; /* it is something else's memory */
	pci_enumerate(&no_acpi);
	CHECK(!pci_find(pci_bdf(0x20, 2, 0)) && !pci_find(pci_bdf(0x20, 5, 0)));
	CHECK(pci_find(pci_bdf(0x21, 0, 0)));
}

TEST(acs_is_read_turned_on_for_an_iommu_and_told)
{
	static const struct iommu_ops any;
	struct fake_function *f;

	for (unsigned on = 0; on < 2; on++) {
		fresh();
		f = bridge(pci_bdf(0, 1, 0), 1);
		fake_pci_capability(f, 0x54, PCI_CAP_PCIE, 0x3c);
		fake_pci_set(f, 0x56, 2, PCIE_ROOT_PORT << 4 | 2);
		fake_pci_set(f, 0x100, 4, 0x14010001);
		fake_pci_set(f, 0x140, 4, 0x1000d);
		fake_pci_set(f, 0x144, 2, 0x5f); /* and what is not wanted: translated, egress */
		fake_pci_set(f, 0x146, 2, 0x40);
		f->writable[0x146] = 0x7f;
		card(pci_bdf(1, 0, 0));
		iommu = on ? &any : NULL;
		pci_enumerate(&no_acpi);
		iommu = NULL;
		CHECK_EQ(fake_pci_get(f, 0x146, 2), on ? 0x1f : 0x40);
		CHECK_EQ(pci_find(0x08)->pcie_type, PCIE_ROOT_PORT);
		CHECK_EQ(pci_find(0x100)->group, on ? 0x100 : 0x08);
		CHECK(strstr(fake_log, on ? "bridge to bus 01, ACS\n" : "to bus 01, ACS off\n"));
		CHECK_EQ(!strstr(fake_log, "BARs, one group with 00:01.0"), on);
	}
}

TEST(other_functions_only_of_multifunction_devices)
{
	struct fake_function *f;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	card(pci_bdf(0, 3, 2));
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, 1);
	fake_pci_set(f, PCI_HEADER_TYPE, 1, 0x80);
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, 2);
}

TEST(a_dead_device_is_left_out)
{
	for (unsigned n = 1; n < 60; n += 3) {
		fresh();
		card(pci_bdf(0, 3, 0))->dies_after = n;
		card(pci_bdf(0, 4, 0));
		pci_enumerate(&no_acpi);
		CHECK(pci_find(pci_bdf(0, 4, 0)) != NULL);
		CHECK(pci_find(pci_bdf(0, 3, 0)) == NULL || n > 30);
	}
}

TEST(hostile_capabilities_end)
{
	struct fake_function *f;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	f->config[0xc9] = 0xc8;		       /* a list that points to itself */
	fake_pci_set(f, 0x100, 4, 0x1000000d); /* so does the extended one */
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, 1);
	fresh();
	f = card(pci_bdf(0, 3, 0));
	fake_pci_set(f, 0xa2, 2, 0x7ff); /* 2048 entries do not fit into 16 KiB */
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_functions[0].cap_msix, 0);
	CHECK(strstr(fake_log, "MSI-X table is in no BAR"));
	fresh();
	f = card(pci_bdf(0, 3, 0));
	fake_pci_set(f, 0xa4, 4, 2); /* in an I/O BAR */
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_functions[0].cap_msix, 0);
	fresh();
	f = card(pci_bdf(0, 3, 0));
	fake_pci_set(f, 0xa8, 4, 0xfffffff8 | 3);
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_functions[0].cap_msix, 0);
}

TEST(more_functions_than_there_is_room_for)
{
	fresh();
	bridge(pci_bdf(0, 1, 0), 1);
	for (unsigned i = 0; i < 31 * 8; i++) {
		fake_pci_set(card((uint16_t)(pci_bdf(1, 0, 0) + i)), PCI_HEADER_TYPE, 1, 0x80);
	}
	for (unsigned i = 2; i < 20; i++) {
		card(pci_bdf(0, i, 0));
	}
	pci_enumerate(&no_acpi);
	CHECK_EQ(pci_function_count, PCI_FUNCTIONS);
	CHECK(strstr(fake_log, "more than 256 functions"));
}

TEST(resets_by_flr_and_restores)
{
	struct fake_function *f;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	pci_enumerate(&no_acpi);
	CHECK(pci_reset_function(&pci_functions[0]));
	CHECK_EQ(f->flrs, 1);
	CHECK_EQ(f->d3s, 0);
	CHECK_EQ(fake_pci_get(f, PCI_BAR0, 4), 0xfeb80000);
	CHECK_EQ(fake_pci_get(f, PCI_BAR0 + 20, 4), 0x3800);
	CHECK_EQ(fake_pci_get(f, PCI_COMMAND, 2),
		 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	CHECK(fake_pci_waited_ms >= 100);
}

TEST(resets_by_power_state_and_by_bus)
{
	struct fake_function *f, *b;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	fake_pci_set(f, 0xe4, 4, 0);
	pci_enumerate(&no_acpi);
	CHECK(pci_reset_function(&pci_functions[0]));
	CHECK_EQ(f->d3s, 1);
	CHECK_EQ(fake_pci_get(f, 0xcc, 2) & PM_STATE, 0);
	CHECK_EQ(fake_pci_get(f, PCI_BAR0, 4), 0xfeb80000);

	fake_pci_set(f, 0xcc, 2, PM_NO_SOFT_RESET);
	CHECK(!pci_reset_function(&pci_functions[0])); /* no way is left */

	fresh();
	b = bridge(pci_bdf(0, 1, 0), 1);
	f = card(pci_bdf(1, 0, 0));
	fake_pci_set(f, 0xe4, 4, 0);
	fake_pci_set(f, 0xcc, 2, PM_NO_SOFT_RESET);
	pci_enumerate(&no_acpi);
	b->writes = 0;
	CHECK(pci_reset_function(pci_find(pci_bdf(1, 0, 0))));
	CHECK_EQ(b->writes, 2);
	CHECK_EQ(fake_pci_get(b, PCI_BRIDGE_CONTROL, 2), 0);
	CHECK_EQ(fake_pci_get(f, PCI_BAR0, 4), 0xfeb80000);
	card(pci_bdf(1, 1, 0)); /* a neighbour must not be reset with it */
	pci_enumerate(&no_acpi);
	CHECK(!pci_reset_function(pci_find(pci_bdf(1, 0, 0))));
}

/* By each kind of reset: without its services on, it would not be in a group of its own. */
TEST(a_reset_leaves_access_control_and_payload_size_on)
{
	enum { FLR, POWER, BUS, WAYS };
	static const struct iommu_ops any;
	const struct pci_function *p;
	struct fake_function *f;

	for (unsigned way = 0; way < WAYS; way++) {
		fresh();
		bridge(pci_bdf(0, 1, 0), 1);
		f = card(pci_bdf(1, 0, 0));
		fake_pci_set(f, 0xe4, 4, way == FLR ? PCIE_FLR_CAPABLE : 0);
		fake_pci_set(f, 0xcc, 2, way == BUS ? PM_NO_SOFT_RESET : 0);
		fake_pci_set(f, 0xe8, 2, 0x5050); /* reads of 4096, payloads of 512 */
		fake_pci_set(f, 0x100, 4, 0x0001000d);
		fake_pci_set(f, 0x104, 2, 0x0c);
		f->writable[0x106] = 0x1f;
		f->acs = 0x100;
		iommu = &any;
		pci_enumerate(&no_acpi);
		iommu = NULL;
		p = pci_find(pci_bdf(1, 0, 0));
		CHECK_EQ(fake_pci_get(f, 0x106, 2), 0x0c);
		CHECK(pci_reset_function(p));
		CHECK_EQ(f->flrs, way == FLR);
		CHECK_EQ(f->d3s, way == POWER);
		CHECK_EQ(fake_pci_get(f, 0x106, 2), p->acs_on);
		CHECK_EQ(p->acs_on, 0x0c);
		CHECK_EQ(fake_pci_get(f, 0xe8, 2), 0x2850);
	}
}

/* As firmware leaves what it does not need: waking up clears what it has set up. */
TEST(a_sleeping_function_keeps_its_addresses)
{
	struct fake_function *f;

	for (unsigned flr = 0; flr < 2; flr++) {
		fresh();
		f = card(pci_bdf(0, 3, 0));
		fake_pci_set(f, 0xe4, 4, flr ? PCIE_FLR_CAPABLE : 0);
		fake_pci_set(f, 0xcc, 2, 3);
		pci_enumerate(&no_acpi);
		CHECK(pci_reset_function(&pci_functions[0]));
		CHECK_EQ(fake_pci_get(f, 0xcc, 2) & PM_STATE, 0);
		CHECK_EQ(fake_pci_get(f, PCI_BAR0, 4), 0xfeb80000);
		CHECK_EQ(fake_pci_get(f, PCI_BAR0 + 20, 4), 0x3800);
	}
}

TEST(an_ide_channel_at_the_ports_of_a_pc_has_no_bars)
{
	for (unsigned native = 0; native < 4; native++) {
		struct fake_function *f;

		fresh();
		f = fake_pci_add(pci_bdf(0, 3, 0), 0x70108086, 0x01018000);
		fake_pci_set(f, PCI_CLASS_REVISION + 1, 1, 0x8a | (native & 1) | (native & 2) << 1);
		for (unsigned i = 0; i < 5; i++) {
			fake_pci_bar(f, i, 8, PCI_BAR_IO, i == 4 ? 0xc040 : 0);
		}
		pci_enumerate(&no_acpi);
		CHECK_EQ(pci_functions[0].bar[1].size != 0, native & 1);
		CHECK_EQ(pci_functions[0].bar[2].size != 0, native >> 1);
		CHECK_EQ(pci_functions[0].bar[4].size, 8);
	}
}

TEST(a_rom_is_off_after_a_reset)
{
	struct fake_function *f;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	fake_pci_set(f, PCI_ROM, 4, 0xfea00001);
	memset(f->writable + PCI_ROM, 0xff, 4);
	pci_enumerate(&no_acpi);
	CHECK(pci_reset_function(&pci_functions[0]));
	CHECK_EQ(fake_pci_get(f, PCI_ROM, 4), 0xfea00000);
}

TEST(what_is_pending_ends_before_a_reset)
{
	struct fake_function *f;

	fresh();
	f = fake_pci_add(pci_bdf(0, 3, 0), 0x10d38086, 0x02000000);
	fake_pci_capability(f, 0x50, PCI_CAP_AF, 6);
	fake_pci_set(f, 0x53, 1, 3);
	fake_pci_set(f, 0x55, 1, 1); /* pending, for ever */
	f->writable[0x55] = 0;
	pci_enumerate(&no_acpi);
	CHECK(pci_reset_function(&pci_functions[0]));
	CHECK_EQ(fake_pci_waited_ms, 100 + 100);
	CHECK_EQ(f->flrs, 1);
}

TEST(a_reset_that_did_nothing_is_none)
{
	struct fake_function *f;

	fresh();
	f = card(pci_bdf(0, 3, 0));
	f->keeps_d3 = true;
	fake_pci_set(f, 0xe4, 4, 0);
	pci_enumerate(&no_acpi);
	CHECK(!pci_reset_function(&pci_functions[0]));
	CHECK_EQ(f->d3s, 1);

	fresh();
	bridge(pci_bdf(0, 1, 0), 1);
	f = card(pci_bdf(1, 0, 0));
	f->keeps_d3 = true;
	fake_pci_set(f, 0xe4, 4, 0);
	pci_enumerate(&no_acpi);
	CHECK(pci_reset_function(pci_find(pci_bdf(1, 0, 0)))); /* by its bus, then */
	CHECK_EQ(f->d3s, 1);
}

/* Whenever it dies, and by whatever it is reset. */
TEST(a_reset_of_the_dead_is_bounded)
{
	enum { FLR, POWER, BUS, WAYS };
	struct fake_function *f;
	unsigned least[WAYS] = {30, 30, 30};

	for (unsigned n = 0; n < 60 * WAYS; n++) {
		fresh();
		bridge(pci_bdf(0, 1, 0), 1);
		f = card(pci_bdf(1, 0, 0));
		fake_pci_set(f, 0xe4, 4, n % WAYS == FLR ? PCIE_FLR_CAPABLE : 0);
		fake_pci_set(f, 0xcc, 2, n % WAYS == BUS ? PM_NO_SOFT_RESET : 0);
		fake_pci_set(f, 0xea, 2, PCIE_PENDING); /* for ever */
		pci_enumerate(&no_acpi);
		CHECK_EQ(pci_function_count, 2);
		f->accesses = 0;
		f->dies_after = 1 + n / WAYS;
		if (pci_reset_function(&pci_functions[1])) {
			least[n % WAYS] = 0; /* it lived long enough */
			continue;
		}
		CHECK(least[n % WAYS]);
		CHECK(fake_pci_waited_ms < 2500);
		fake_pci_waited_ms = 0;
		CHECK(!pci_reset_function(&pci_functions[1]));
		CHECK_EQ(fake_pci_waited_ms, 0);
	}
	CHECK_EQ(least[FLR] + least[POWER] + least[BUS], 0);
}

/* A function that answers with its ids alone; and one whose header is all ones from 0x10 on. */
TEST(partly_dead_devices_end_enumeration)
{
	struct fake_function *f;

	for (unsigned from = 4; from < 256; from += 4) {
		fresh();
		f = card(pci_bdf(0, 3, 0));
		memset(f->config + from, 0xff, sizeof(f->config) - from);
		memset(f->writable, 0, sizeof(f->writable));
		card(pci_bdf(0, 4, 0));
		pci_enumerate(&no_acpi);
		CHECK(pci_find(pci_bdf(0, 4, 0)) != NULL);
		f = fake_pci; /* and reset, if it was found */
		if (pci_find(0x18)) {
			pci_reset_function(pci_find(0x18));
		}
		CHECK(fake_pci_waited_ms < 2500);
	}
}
