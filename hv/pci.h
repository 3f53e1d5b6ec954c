/*
 * Physical PCI as the pure rooms see it: functions found at boot, and their config space.
 *
 * drivers/pci.c implements it through ECAM where MCFG tells it, else through 0xcf8 (PCI Local Bus
 * Specification 3.0; PCI Express Base "Configuration Space"). Host tests link a fake bus.
 */
#pragma once

#include "hv/refuse.h"
#include "hv/types.h"

enum { PCI_BARS = 6, PCI_FUNCTIONS = 256 };

static inline uint16_t pci_bdf(unsigned bus, unsigned device, unsigned function)
{
	return (uint16_t)(bus << 8 | device << 3 | function);
}
/* What "%02x:%02x.%x" takes. */
#define BDF_PARTS(bdf) (bdf) >> 8, (bdf) >> 3 & 31, (bdf) & 7

/* 1, 2 or 4 bytes, naturally aligned. A function that is not there reads ones. Any CPU. */
uint32_t pci_read(uint16_t bdf, unsigned offset, unsigned size);
void pci_write(uint16_t bdf, unsigned offset, unsigned size, uint32_t value);

struct pci_bar {
	/* size 0: not there, or the upper half of a 64-bit BAR; base 0: it has no address */
	uint64_t base, size;
	bool io, wide /* 64-bit */, prefetchable;
};

/* What a bridge forwards to what is behind it, while it decodes. */
struct pci_window {
	uint64_t base, size; /* size 0: closed */
};
enum pci_window_kind { PCI_WINDOW_IO, PCI_WINDOW_MEMORY, PCI_WINDOW_PREFETCHABLE, PCI_WINDOWS };

struct pci_function {
	uint16_t bdf;
	uint16_t vendor, device;
	uint32_t class_revision;
	uint8_t header_type; /* 0 function, 1 bridge */
	uint8_t pin, line;   /* INTx: pin 1-4 (0: none), line as firmware left it */
	struct pci_bar bar[PCI_BARS];
	/* Offsets of capabilities in config space, 0: not there. */
	uint8_t cap_pm, cap_msi, cap_msix, cap_pcie, cap_af;
	uint16_t cap_acs;
	uint8_t pcie_type;   /* enum pcie_type, where cap_pcie is there */
	uint16_t acs, acs_on; /* access control services that it has; that are on */
	uint8_t msi_vectors; /* 1-32 */
	bool msi_64, msi_maskable;
	uint16_t msix_entries;
	uint8_t msix_table_bar;
	uint32_t msix_table_offset;
	bool flr; /* function level reset, PCIe or AF capability */
	bool master; /* can be a bus master; without an IOMMU nobody has asked */
	uint8_t secondary, subordinate; /* bridges: bus numbers behind */
	struct pci_window window[PCI_WINDOWS]; /* bridges */
	/* Of pci_group.c: the group's first function, and what this one's requests carry as id. */
	uint16_t group, requester;
};

extern struct pci_function pci_functions[PCI_FUNCTIONS];
extern unsigned pci_function_count;

/* Boot CPU, once: enumerates all buses, sizes BARs with decoding off, leaves everything as it was. */
struct acpi_info;
void pci_enumerate(const struct acpi_info *a);
const struct pci_function *pci_find(uint16_t bdf);
/*
 * Asks a function whether it can be a bus master, by making it one for a moment: firmware may have
 * ended its DMA by that bit alone, so with no IOMMU it is not asked without need. Boot CPU.
 */
bool pci_can_master(const struct pci_function *f);

/*
 * Bus mastering off, then the strongest reset there is (FLR, AF FLR, D3hot, secondary bus), BARs,
 * header, payload size and access control services restored. False: the function does not answer or
 * has none. Bounded waits.
 */
bool pci_reset_function(const struct pci_function *f);

/* Registers of the configuration header and their bits. */
enum pci_register {
	PCI_VENDOR = 0x00,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_CLASS_REVISION = 0x08,
	PCI_CACHE_LINE = 0x0c,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_BUSES = 0x18, /* bridges: primary, secondary, subordinate */
	PCI_IO_WINDOW = 0x1c,
	PCI_MEMORY_WINDOW = 0x20,
	PCI_PREFETCHABLE_WINDOW = 0x24, /* its upper halves behind it */
	PCI_IO_WINDOW_UPPER = 0x30,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_LINE = 0x3c,
	PCI_PIN = 0x3d,
	PCI_BRIDGE_CONTROL = 0x3e,
	PCI_HEADER_END = 0x40,
};
enum { PCI_CAPABILITIES_MAX = 48 }; /* as many as have room */
enum { PCI_COMMAND_IO = BIT(0), PCI_COMMAND_MEMORY = BIT(1), PCI_COMMAND_MASTER = BIT(2),
       PCI_COMMAND_PARITY = BIT(6), PCI_COMMAND_SERR = BIT(8), PCI_COMMAND_INTX_OFF = BIT(10) };
enum { PCI_CLASS_BRIDGE = 0x06 }; /* in the highest byte of the class register */
/* In the two highest bytes. IOMMUs: AMD's are functions themselves. */
enum { PCI_CLASS_IOMMU = 0x0806, PCI_CLASS_IDE = 0x0101 };
/* In three: a bridge that forwards what nobody takes. */
enum { PCI_CLASS_SUBTRACTIVE = 0x060401 };
enum { PCI_ROM_ON = BIT(0), PCI_ROM_MAX = 0x1000000 };
enum { PCI_STATUS_CAPABILITIES = BIT(4) };
/* The low bits of a BAR. */
enum { PCI_BAR_IO = BIT(0), PCI_BAR_WIDE = BIT(2), PCI_BAR_PREFETCHABLE = BIT(3) };
#define PCI_BAR_IO_ADDRESS     (~(uint32_t)3)
#define PCI_BAR_MEMORY_ADDRESS (~(uint32_t)15)

enum pci_capability { PCI_CAP_PM = 0x01, PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09,
		      PCI_CAP_SUBSYSTEM = 0x0d, PCI_CAP_PCIE = 0x10, PCI_CAP_MSIX = 0x11,
		      PCI_CAP_SATA = 0x12, PCI_CAP_AF = 0x13 };

/* Registers inside capabilities. */
enum { PM_CONTROL = 4, PM_STATE = FIELD(1, 0), PM_NO_SOFT_RESET = BIT(3) };
enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_ENABLE = BIT(0), MSI_COUNT = FIELD(6, 4),
       MSI_64 = BIT(7), MSI_MASKABLE = BIT(8) };
enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_ENABLE = BIT(15),
       MSIX_MASK_ALL = BIT(14), MSIX_SIZE = FIELD(10, 0), MSIX_ENTRY = 16 /* bytes */,
       MSIX_ENTRY_CONTROL = 12, MSIX_ENTRY_MASKED = BIT(0) };
enum pcie_type { PCIE_ENDPOINT = 0, PCIE_ROOT_PORT = 4, PCIE_UPSTREAM = 5,
		 PCIE_DOWNSTREAM = 6, PCIE_TO_PCI = 7, PCI_TO_PCIE = 8, PCIE_INTEGRATED = 9 };
enum { PCIE_FLAGS = 2, PCIE_TYPE = FIELD(7, 4), PCIE_DEVICE_CAPS = 4, PCIE_DEVICE_CONTROL = 8, PCIE_DEVICE_STATUS = 10,
       PCIE_FLR_CAPABLE = BIT(28), PCIE_FLR = BIT(15), PCIE_PAYLOAD = FIELD(7, 5),
       PCIE_PENDING = BIT(5) };

/* "Access Control Services": what a port or function does with requests to its neighbours. */
enum { ACS_CAPS = 4, ACS_CONTROL = 6, ACS_SOURCE_VALIDATION = BIT(0), ACS_REQUEST_REDIRECT = BIT(2),
       ACS_COMPLETION_REDIRECT = BIT(3), ACS_UPSTREAM_FORWARDING = BIT(4),
       /* Of requests whose sender claims to have translated them: none is allowed to. */
       ACS_TRANSLATION_BLOCKING = BIT(1), ACS_DIRECT_TRANSLATED = BIT(6),
       ACS_WANTED = ACS_SOURCE_VALIDATION | ACS_REQUEST_REDIRECT | ACS_COMPLETION_REDIRECT |
		    ACS_UPSTREAM_FORWARDING };

/* The capability behind the one at `at`, 0: the first; 0: there is none. A list may go round. */
static inline unsigned pci_capability_next(uint16_t bdf, unsigned at)
{
	if (!at && !(pci_read(bdf, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)) {
		return 0;
	}
	at = pci_read(bdf, at ? at + 1 : PCI_CAPABILITIES, 1) & 0xfc;
	return at >= PCI_HEADER_END ? at : 0;
}

/* The offset of the first byte of an MSI's data register. */
static inline unsigned pci_msi_data(const struct pci_function *f)
{
	return f->cap_msi + (f->msi_64 ? 12u : 8u);
}

static inline unsigned pci_msi_mask(const struct pci_function *f)
{
	return f->cap_msi + (f->msi_64 ? 16u : 12u);
}
