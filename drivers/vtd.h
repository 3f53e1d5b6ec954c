/*
 * What the files of the VT-d driver share; nobody else includes it (Intel Virtualization Technology
 * for Directed I/O Architecture Specification: "Register Descriptions", "Translation Structure
 * Formats", "Queued Invalidation Interface").
 */
#pragma once

#include "drivers/acpi_dmar.h"
#include "drivers/iommu.h"
#include "hv/lib/lock.h"

/* --- registers: offsets in the unit's page --- */

enum vtd_register {
	VTD_VERSION = 0x00,	 /* 32 bits */
	VTD_CAPABILITY = 0x08,	 /* 64 */
	VTD_EXTENDED = 0x10,	 /* 64: extended capability */
	VTD_COMMAND = 0x18,	 /* 32: global command */
	VTD_STATUS = 0x1c,	 /* 32: global status */
	VTD_ROOT_TABLE = 0x20,	 /* 64 */
	VTD_CONTEXT = 0x28,	 /* 64: context command */
	VTD_FAULT_STATUS = 0x34, /* 32 */
	VTD_FAULT_CONTROL = 0x38,
	VTD_FAULT_DATA = 0x3c,
	VTD_FAULT_ADDRESS = 0x40,
	VTD_FAULT_UPPER = 0x44,
	VTD_PROTECTED = 0x64,	  /* 32: protected memory enable */
	VTD_QUEUE_HEAD = 0x80,	  /* 64 */
	VTD_QUEUE_TAIL = 0x88,	  /* 64 */
	VTD_QUEUE_ADDRESS = 0x90, /* 64 */
	VTD_REMAP_TABLE = 0xb8,	  /* 64: interrupt remapping table address */
};

/* Offsets from the IOTLB registers, whose place EXTENDED tells. */
enum { VTD_IOTLB_INVALIDATE = 8 };

/* CAPABILITY */
#define VTD_CAP_DOMAINS	      FIELD(2, 0)   /* 4 + 2 * n bits of domain id */
#define VTD_CAP_WRITE_BUFFER  BIT(4)	    /* must be flushed */
#define VTD_CAP_PROTECTED     FIELD(6, 5)   /* low and high protected memory regions */
#define VTD_CAP_CACHING	      BIT(7)	    /* caching mode: entries that are not present too */
#define VTD_CAP_WIDTHS	      FIELD(12, 8)  /* bit 1: 3 levels, 2: 4 levels, 3: 5 levels */
#define VTD_CAP_GUEST_ADDRESS FIELD(21, 16) /* bits of a DMA address, less one */
#define VTD_CAP_FAULT_OFFSET  FIELD(33, 24) /* of the fault records, in 16 bytes */
#define VTD_CAP_2M	      BIT(34)
#define VTD_CAP_1G	      BIT(35)
#define VTD_CAP_FAULTS	      FIELD(47, 40) /* fault records, less one */
#define VTD_CAP_DRAIN	      FIELD(55, 54) /* writes, reads */

/* EXTENDED */
#define VTD_EXT_COHERENT     BIT(0) /* looks into caches when it reads tables */
#define VTD_EXT_QUEUE	     BIT(1)
#define VTD_EXT_REMAP	     BIT(3) /* interrupts */
#define VTD_EXT_X2APIC	     BIT(4)
#define VTD_EXT_SNOOP	     BIT(7)
#define VTD_EXT_IOTLB_OFFSET FIELD(17, 8) /* in 16 bytes */
#define VTD_EXT_SCALABLE     BIT(43)	  /* has scalable mode besides */

/* COMMAND and, when done, STATUS */
enum vtd_command {
	VTD_TRANSLATE = 1u << 31,
	VTD_SET_ROOT = 1u << 30,
	VTD_ADVANCED_LOG = 1u << 28, /* of faults, in memory */
	VTD_FLUSH_WRITES = 1u << 27,
	VTD_QUEUE = 1u << 26,
	VTD_REMAP = 1u << 25,
	VTD_SET_REMAP = 1u << 24,
	VTD_COMPATIBILITY = 1u << 23, /* interrupts in the old format pass */
};

/* What stays when another command is given: one bit changes at a time. */
#define VTD_LASTING                                                                                \
	((uint32_t)(VTD_TRANSLATE | VTD_ADVANCED_LOG | VTD_QUEUE | VTD_REMAP | VTD_COMPATIBILITY))

/* CONTEXT and IOTLB_INVALIDATE */
#define VTD_CONTEXT_BUSY      BIT(63)
#define VTD_CONTEXT_GLOBAL    BIT(61)
#define VTD_IOTLB_BUSY	      BIT(63)
#define VTD_IOTLB_GLOBAL      BIT(60)
#define VTD_IOTLB_DRAIN_READS BIT(49)
#define VTD_IOTLB_DRAIN_WRITE BIT(48)

/* FAULT_STATUS and FAULT_CONTROL */
enum {
	VTD_FAULT_OVERFLOW = BIT(0),
	VTD_FAULT_PENDING = BIT(1),
	VTD_FAULT_QUEUE = BIT(4),      /* invalidation queue error */
	VTD_FAULT_COMPLETION = BIT(5), /* of a device's translation cache */
	VTD_FAULT_TIMEOUT = BIT(6),    /* the same */
	VTD_FAULT_STRAY = VTD_FAULT_COMPLETION | VTD_FAULT_TIMEOUT,
	VTD_FAULT_CLEARED = 0x71, /* by writing ones */
};
#define VTD_FAULT_FIRST	 FIELD(15, 8) /* record */
#define VTD_FAULT_MASKED (1u << 31)

/* PROTECTED */
#define VTD_PROTECTED_STATUS BIT(0)

/* ROOT_TABLE */
#define VTD_ROOT_TYPE FIELD(11, 10) /* 0: legacy mode */

/* REMAP_TABLE */
#define VTD_REMAP_X2APIC BIT(11)

/* --- tables in memory --- */

/* A root entry, context entry, interrupt remapping entry, descriptor, or fault record. */
struct vtd_pair {
	uint64_t low, high;
};
_Static_assert(sizeof(struct vtd_pair) == 16, "the format of all of them");

enum { VTD_REMAPS = 65536, VTD_LEGACY_INDEX = 0x2000 };
#define VTD_QUIET	   BIT(1) /* context entry, low: fault processing disable */
#define VTD_PRESENT	   BIT(0)
#define VTD_CONTEXT_WIDTH  FIELD(2, 0)	/* high: levels, less two */
#define VTD_CONTEXT_DOMAIN FIELD(23, 8) /* high */
#define VTD_REMAP_LEVEL	   BIT(4)	/* low: trigger mode */
#define VTD_REMAP_VECTOR   FIELD(23, 16)
#define VTD_REMAP_XAPIC	   FIELD(47, 40)
#define VTD_REMAP_DEST	   FIELD(63, 32)
#define VTD_REMAP_SOURCE   FIELD(15, 0) /* high: requester */
#define VTD_REMAP_VERIFY   BIT(18)	/* high: all of the requester's bits */
#define VTD_REMAP_BUSES	   BIT(19)	/* high: its bus, from and to */

/* A fault record, high half. */
#define VTD_RECORD_FAULT  BIT(63)
#define VTD_RECORD_READ	  BIT(62)
#define VTD_RECORD_REASON FIELD(39, 32)
#define VTD_RECORD_SOURCE FIELD(15, 0)

/* --- units --- */

struct vtd_unit {
	const struct dmar_unit *acpi;
	volatile uint8_t *at;
	uint64_t cap, ext;
	struct lock lock; /* of the queue */
	struct vtd_pair *queue;
	hpa_t queue_at;
	uint32_t *done; /* the wait descriptor writes here, on the page behind the queue */
	unsigned tail;
};

/* What holds for all units; nothing of it changes after enable. */
struct vtd {
	struct dmar_info dmar;
	struct vtd_unit unit[DMAR_UNITS];
	struct npt_format format;
	unsigned address_bits; /* of a DMA address */
	bool coherent, remapping, x2apic;
	hpa_t root_at;
	struct vtd_pair *root, *remap;
};
extern struct vtd vtd;

/* Always false. */
bool vtd_refuse(struct refusal *r, const struct vtd_unit *u, const char *why);
/* Makes what was written visible to units that do not look into caches. */
void vtd_write_back(const void *p, size_t size);

uint64_t vtd_read(const struct vtd_unit *u, unsigned offset, unsigned size);
void vtd_write(const struct vtd_unit *u, unsigned offset, unsigned size, uint64_t value);
/* Waits until (register & mask) == want, for a second at most. */
bool vtd_wait(const struct vtd_unit *u, unsigned offset, unsigned size, uint64_t mask,
	      uint64_t want);
/* Gives one command on top of what lasts, or takes a lasting one away, and waits for the status. */
bool vtd_command(const struct vtd_unit *u, uint32_t command, bool on);

/* --- vtd_device.c: of struct iommu_ops --- */

bool vtd_domain_create(const struct addrspace *as, struct iommu_domain **d, struct refusal *r);
/*
 * Lets devices reach what firmware reserved for them, and nothing else, until a partition has them:
 * a graphics device shows the screen from there. Before translation is on.
 */
void vtd_honour_firmware(void);
bool vtd_attach(uint16_t bdf, struct iommu_domain *d, struct refusal *r);
void vtd_quiet(uint16_t bdf);
bool vtd_msi(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector, uint64_t *address,
	     uint32_t *data);
bool vtd_pin(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
	     uint64_t *entry);

/* --- vtd_invalidate.c; all wait for the unit; false: it does not answer --- */

/* Ends firmware's queue; makes ours and turns it on where the unit has one. */
bool vtd_queue_stop(struct vtd_unit *u);
bool vtd_queue_start(struct vtd_unit *u, struct refusal *r);
/* Contexts and IOTLB: all. */
bool vtd_flush_all(struct vtd_unit *u);
/* All contexts, and the IOTLB of up to two domains (0: none). */
bool vtd_flush_domains(struct vtd_unit *u, uint16_t one, uint16_t two);
/* Interrupt entries [index, index + 1), or all for UINT32_MAX. */
bool vtd_flush_remap(struct vtd_unit *u, uint32_t index);

/* --- vtd_table.c: formats --- */

struct npt_format vtd_npt_format(uint64_t cap, uint64_t ext);
struct vtd_pair vtd_context_entry(const struct iommu_domain *d);
/* Whose requests an entry is for: its high half. */
uint64_t vtd_remap_source(uint16_t bdf, uint16_t requester);
struct vtd_pair vtd_remap_entry(uint64_t source, uint32_t apic_id, uint8_t vector, bool level,
				bool x2apic);
/* Message address for a block of entries: the data is added to its first index. */
uint64_t vtd_message_address(uint32_t index);
/* Redirection entry of an I/O APIC's pin. */
uint64_t vtd_pin_entry(uint32_t index, uint8_t vector, bool level);

/* --- vtd_fault.c --- */

bool vtd_take_fault(const struct vtd_unit *u, struct iommu_fault *f);
void vtd_clear_faults(const struct vtd_unit *u);
void vtd_fault_route(const struct vtd_unit *u, uint32_t apic_id, uint8_t vector);

/* --- vtd_scope.c: which unit covers a function --- */

/* Finds out, once, where the ways in the DMAR lead. */
void vtd_resolve(const struct dmar_info *d);
/* The function that a scope names, which is no bridge; false: it is not there. */
bool vtd_endpoint(const struct dmar_info *d, unsigned scope, uint16_t *bdf);
/* The index of the unit, or -1. */
int vtd_unit_of(const struct dmar_info *d, uint16_t bdf);
/* Does this part of the scopes hold the function? */
bool vtd_covers(const struct dmar_info *d, const struct dmar_scopes *s, uint16_t bdf);
/* The requester id of the I/O APIC with this id, and its number among those listed; -1: none. */
int vtd_ioapic(const struct dmar_info *d, uint8_t id, unsigned *ordinal);
