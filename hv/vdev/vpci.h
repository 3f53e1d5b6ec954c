/*
 * PCI of a partition: config space through 0xcf8/0xcfc and through ECAM, bus 0 (PCI Local Bus
 * Specification 3.0 "Configuration Mechanism #1"; PCI Express Base "ECAM").
 *
 * Function 00:00.0 is a host bridge and is always there; passed-through functions stand beside it
 * (vpci_function.c), everything else reads ones. Shared under the partition's device lock.
 *
 * CONFIG_ADDRESS takes dwords only. A byte at 0xcf9 is the chipset's reset control register, which
 * lies under it: such accesses are handed on to `reset_control`.
 */
#pragma once

#include "hv/bus.h"
#include "hv/limits.h"
#include "hv/pci.h"

enum { VPCI_ECAM_BASE = 0xe0000000u, VPCI_ECAM_BUSES = 1, VPCI_ECAM_SIZE = 0x100000u };

/* Where the guest's DSDT lets BARs be, besides ECAM: hv/acpi/dsdt.asl says the same. */
enum { VPCI_HOLE_BASE = 0xc0000000u, VPCI_HOLE_END = 0xe0000000u,
       VPCI_HOLE2_BASE = 0xe0100000u, VPCI_HOLE2_END = 0xfec00000u };

enum { VPCI_CONFIG = 256, VPCI_CAPABILITIES = 12 };

/* A vector's message as the guest wrote it. */
struct vpci_message {
	uint64_t address;
	uint32_t data;
	bool masked;
	/* Of passthrough.c: the physical vector, 0: none yet; what an MSI-X entry was told last. */
	uint8_t vector;
	bool armed;
	uint64_t armed_address;
	uint32_t armed_data;
};

struct vpci_bar {
	uint64_t at;  /* where the guest has put it, as far as it is decoded: else NOWHERE */
	void *host;   /* its registers, NULL: I/O, or none */
	uint64_t mapped_at; /* in the second-level tables (of passthrough_map.c) */
	bool told;	    /* that it cannot be there */
};
#define VPCI_NOWHERE UINT64_MAX

/* A passed-through function. All but the first group are reset with the guest. */
struct vpci_function {
	const struct pci_function *pci;
	uint8_t devfn;	     /* where the guest finds it, on bus 0 */
	bool multifunction;  /* others share its device number */
	bool intx;	     /* its interrupt pin works */
	uint8_t isa_irq;     /* ISA IRQ that its pin shares in PIC mode */
	uint64_t start[PCI_BARS]; /* where its BARs are when the guest starts */
	struct vpci_message *message; /* of MSI or MSI-X, `messages` of them */
	unsigned messages;
	struct {
		bool armed; /* enabled, and told this last: */
		uint64_t address;
		uint32_t data;
		unsigned count;
	} msi; /* of passthrough.c; apart from MSI-X, which a function may have as well */
	struct {
		uint8_t id, offset, size;
	} cap[VPCI_CAPABILITIES];
	unsigned caps;

	uint8_t config[VPCI_CONFIG]; /* what is not forwarded */
	struct vpci_bar bar[PCI_BARS];
	bool reported;		     /* a rejected access of this function was told */
};

/* What config space brings about. Device lock held. */
struct vpci_events {
	void (*decode)(void *ctx, struct vpci_function *f); /* BARs have moved, come or gone */
	void (*message)(void *ctx, struct vpci_function *f, unsigned first, unsigned count);
	void (*intx)(void *ctx, struct vpci_function *f); /* INTx was turned on or off */
	/* A write that goes nowhere; f NULL: to a function that is not this guest's. */
	void (*rejected)(void *ctx, struct vpci_function *f, uint16_t bdf, unsigned reg);
};

struct vpci {
	uint32_t address; /* CONFIG_ADDRESS */
	uint8_t host_bridge[256];
	struct bus_claim reset_control; /* ops and dev of port 0xcf9; ops NULL: nobody */
	struct vpci_function *function;
	unsigned functions;
	const struct vpci_events *events;
	void *ctx;
};

/* The caller sets reset_control afterwards, and does not claim 0xcf9 on the bus. */
void vpci_init(struct vpci *p);
void vpci_reset(struct vpci *p);
extern const struct vdev_ops vpci_address_ops; /* 0xcf8 size 4, width 4 */
extern const struct vdev_ops vpci_data_ops;    /* 0xcfc size 4, width 4 */
extern const struct vdev_ops vpci_ecam_ops;    /* VPCI_ECAM_BASE, width 4 */

/*
 * Accesses to what the BARs decode, when nobody else answers at the address: I/O BARs, memory that
 * is not mapped into the guest, MSI-X tables. False: no BAR is there either.
 */
bool vpci_window(struct vpci *p, bool io, uint64_t addr, struct bus_access *a);

/* One access inside 256 bytes: vpci_access.c. */
void vpci_function_access(struct vpci *p, struct vpci_function *f, unsigned reg,
			  struct bus_access *a);

/* --- vpci_function.c: called by vpci*.c, passthrough*.c and tests --- */

/* Chooses the capabilities that the guest may see. f->pci, devfn, intx, isa_irq are set. */
void vpci_function_init(struct vpci_function *f);
/* Config space and messages as after RESET#. Nothing is told to `events`. */
void vpci_function_reset(struct vpci_function *f);
/* Our copy of the registers. */
uint32_t vpci_function_get(const struct vpci_function *f, unsigned reg, unsigned size);
void vpci_function_put(struct vpci_function *f, unsigned reg, unsigned size, uint32_t v);
/* A write to BAR i: its wired bits are as they must be. */
void vpci_settle_bar(struct vpci_function *f, unsigned i);
/* Where the BARs are decoded now. True: that has changed. */
bool vpci_update_bars(struct vpci_function *f);
static inline uint32_t vpci_command(const struct vpci_function *f)
{
	return vpci_function_get(f, PCI_COMMAND, 2);
}

/* Is vector i enabled and not masked, and what is its message? */
bool vpci_message_active(const struct vpci_function *f, unsigned i, uint64_t *address,
			 uint32_t *data);
/* The first byte of the MSI-X table in its BAR, and its size; 0: none. */
static inline uint64_t vpci_table_size(const struct vpci_function *f)
{
	return f->pci->cap_msix ? (uint64_t)f->pci->msix_entries * MSIX_ENTRY : 0;
}
static inline bool vpci_msix_on(const struct vpci_function *f)
{
	return f->pci->cap_msix &&
	       (vpci_function_get(f, f->pci->cap_msix + MSIX_CONTROL, 2) & MSIX_ENABLE);
}
static inline bool vpci_msi_on(const struct vpci_function *f)
{
	return f->pci->cap_msi &&
	       (vpci_function_get(f, f->pci->cap_msi + MSI_CONTROL, 2) & MSI_ENABLE);
}
/* The vectors that MSI has enabled: what Multiple Message Enable says. */
unsigned vpci_msi_count(const struct vpci_function *f);
