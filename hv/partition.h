/*
 * A partition: a guest with what it owns. Built once from the configuration, started, ended and
 * restarted by its boot vCPU's CPU.
 */
#pragma once

#include "hv/acpi/acpi_guest.h"
#include "hv/config.h"
#include "hv/load/load.h"
#include "hv/npt.h"
#include "hv/pc.h"
#include "hv/vcpu.h"

enum partition_end {
	END_NONE,
	END_POWER_OFF,	  /* success */
	END_RESET,
	END_TRIPLE_FAULT,
	END_DEBUG_EXIT,	  /* end_status: success when 0 */
	END_ERROR,	  /* stopped by us: end_reason tells */
};

struct partition {
	const struct config_guest *config;
	const struct config *file; /* that config is part of */
	unsigned index; /* 0.. in the order of the file; the console's guest number is index + 1 */
	struct addrspace as;
	struct npt npt;
	struct pc pc;
	struct passthrough *devices; /* NULL: it has no PCI functions of the machine */
	struct apic_bus apics;
	struct load_image image;
	struct vcpu *vcpu[MAX_VCPUS];
	unsigned vcpus;
	_Atomic uint32_t end;	     /* enum partition_end; the first one wins */
	char end_reason[160];
	uint32_t end_status;
	_Atomic unsigned stopped;    /* vCPUs that have left for the end or restart */
	_Atomic unsigned generation; /* counts starts */
	uint64_t start_tsc;	     /* host TSC of the last start */
	unsigned restarts;
	_Atomic bool finished;	     /* ended for good */
	bool unloadable;	     /* the image was refused: no restart helps */
	bool failed;		     /* ended for good without success */
};

extern struct partition *partitions[MAX_GUESTS];
extern unsigned partition_count;

/* Boot CPU: allocates, maps and wires up everything of a guest. Images are in p->image already. */
bool partition_create(struct partition *p, const struct npt_format *format, struct refusal *r);

/*
 * Ends a partition that was started, from any CPU: all its vCPUs leave the guest; the boot vCPU's CPU
 * then logs one line and restarts or stops it as its config says. False: it was ending already, and
 * the first cause is the one that is told.
 */
bool partition_end(struct partition *p, enum partition_end how, const char *reason, ...)
	PRINTF_LIKE(3, 4);

/*
 * What the owner CPU of a vCPU that does not run does: waits for the partition's start, takes part in
 * its end, or restarts it (boot vCPU).
 */
void partition_idle(struct vcpu *v);

/* One turn of the run loop, and the loop: what an owner CPU does for ever. */
void vcpu_turn(struct vcpu *v);
void vcpu_loop(struct vcpu *v) NORETURN;

/* Guest-physical layout (docs/architecture.md, "The virtual PC"). */
#define GUEST_LOW_LIMIT 0xc0000000ull /* RAM below 4 GiB ends here; the rest starts at 4 GiB */
#define GUEST_HIGH_BASE GIB(4)
enum { GUEST_VGA_HOLE = 0xa0000, GUEST_BIOS_AREA = 0xc0000, GUEST_BIOS_END = 0x100000,
       GUEST_EBDA = 0x9fc00 };
