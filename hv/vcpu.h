/*
 * A guest CPU: neutral register state, pending events, and how it is doing.
 *
 * Every field belongs to the physical CPU that runs the vCPU, except `request`, which any CPU may OR
 * into. The backend behind virt.h fills and writes back register groups on demand.
 */
#pragma once

#include "hv/decode.h"
#include "hv/gwalk.h"
#include "hv/types.h"
#include "hv/vdev/vlapic.h"
#include <stdatomic.h>

/* General registers in the order of their encoding in ModRM. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/*
 * Register groups. A group must be valid before it is read (vcpu_need) and is marked dirty when it
 * is written (vcpu_touch). GPRs other than RSP are always valid and need no marking.
 */
enum vcpu_group {
	GROUP_RIP = BIT(0),
	GROUP_RSP = BIT(1), /* gpr[RSP] */
	GROUP_RFLAGS = BIT(2),
	GROUP_SHADOW = BIT(3), /* interrupt shadow and NMI blocking */
	GROUP_CR = BIT(4),     /* cr0 cr3 cr4 efer, as the guest sees them */
	GROUP_CR2 = BIT(5),
	GROUP_AR = BIT(6),     /* cs.ar and ss.ar: they tell the mode and the CPL */
	GROUP_SEG = BIT(7),    /* es ds fs gs ldtr tr gdtr idtr */
	GROUP_DR = BIT(8),     /* dr6 dr7; DR0-3 stay in the registers */
	GROUP_SYSENTER = BIT(9), /* sysenter_cs, _esp, _eip */
	GROUP_PAT = BIT(10),
	GROUP_CS_SS_REST = BIT(11), /* selectors, bases and limits */
	GROUP_CS_SS = GROUP_AR | GROUP_CS_SS_REST,
	/* These are never fetched: struct vcpu has the present value. */
	GROUP_CR8 = BIT(12),
	GROUP_TSC_OFFSET = BIT(13),
	GROUP_ALL = BIT(14) - 1,
	GROUP_STEP = GROUP_RIP | GROUP_RFLAGS | GROUP_SHADOW, /* what ends an instruction */
};

enum { DR6_BS = BIT(14) /* a single step */ };

enum { SHADOW_STI = BIT(0), SHADOW_MOV_SS = BIT(1), SHADOW_NMI = BIT(2) /* NMIs blocked */ };

/* Access rights as in the VMCS: type, S, DPL, P in 7:0, AVL, L, D/B, G in 15:12, unusable in 16. */
enum {
	SEG_S = BIT(4),
	SEG_DPL = FIELD(6, 5),
	SEG_P = BIT(7),
	SEG_L = BIT(13),
	SEG_DB = BIT(14),
	SEG_G = BIT(15),
	SEG_UNUSABLE = BIT(16),
};

struct segment {
	uint64_t base;
	uint32_t limit;
	uint32_t ar;
	uint16_t selector;
};

struct dtable {
	uint64_t base;
	uint16_t limit;
};

struct vcpu_regs {
	uint64_t gpr[16]; /* first: the entry stubs address it */
	uint64_t rip;
	uint64_t rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint64_t dr6, dr7;
	uint64_t pat;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint32_t shadow;
	struct segment cs, ss, ds, es, fs, gs, ldtr, tr;
	struct dtable gdtr, idtr;
};

enum { RFLAGS_CF = BIT(0), RFLAGS_1 = BIT(1), RFLAGS_PF = BIT(2), RFLAGS_AF = BIT(4),
       RFLAGS_ZF = BIT(6), RFLAGS_SF = BIT(7), RFLAGS_TF = BIT(8), RFLAGS_IF = BIT(9),
       RFLAGS_DF = BIT(10), RFLAGS_OF = BIT(11), RFLAGS_IOPL = FIELD(13, 12), RFLAGS_NT = BIT(14),
       RFLAGS_RF = BIT(16), RFLAGS_VM = BIT(17), RFLAGS_AC = BIT(18) };

enum { CR0_PE = BIT(0), CR0_MP = BIT(1), CR0_EM = BIT(2), CR0_TS = BIT(3), CR0_ET = BIT(4),
       CR0_NE = BIT(5), CR0_WP = BIT(16), CR0_AM = BIT(18), CR0_NW = BIT(29), CR0_CD = BIT(30) };
#define CR0_PG BIT(31)

enum { CR4_VME = BIT(0), CR4_PVI = BIT(1), CR4_TSD = BIT(2), CR4_DE = BIT(3), CR4_PSE = BIT(4),
       CR4_PAE = BIT(5), CR4_MCE = BIT(6), CR4_PGE = BIT(7), CR4_PCE = BIT(8),
       CR4_OSFXSR = BIT(9), CR4_OSXMMEXCPT = BIT(10), CR4_UMIP = BIT(11), CR4_LA57 = BIT(12),
       CR4_VMXE = BIT(13), CR4_SMXE = BIT(14), CR4_FSGSBASE = BIT(16), CR4_PCIDE = BIT(17),
       CR4_OSXSAVE = BIT(18), CR4_SMEP = BIT(20), CR4_SMAP = BIT(21), CR4_PKE = BIT(22),
       CR4_CET = BIT(23), CR4_PKS = BIT(24) };

enum { EFER_SCE = BIT(0), EFER_LME = BIT(8), EFER_LMA = BIT(10), EFER_NXE = BIT(11),
       EFER_SVME = BIT(12), EFER_LMSLE = BIT(13), EFER_FFXSR = BIT(14), EFER_TCE = BIT(15),
       EFER_AIBRSE = BIT(21) };

/* Exception vectors (Intel SDM vol. 3, "Exception and Interrupt Reference"). */
enum exception { EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5,
		 EXC_UD = 6, EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12,
		 EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19 };

/* An event to deliver through the guest's IDT; the types have the values of the manuals' encoding. */
enum event_type {
	EVENT_INTR = 0,	   /* external interrupt */
	EVENT_NMI = 2,
	EVENT_EXC = 3,	   /* hardware exception */
	EVENT_SOFT_INT = 4,  /* INT n */
	EVENT_PRIV_SW = 5, /* INT1 (ICEBP) */
	EVENT_SOFT_EXC = 6,  /* INT3, INTO */
};

struct event {
	bool valid;
	enum event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint8_t insn_len; /* for the software types */
};

/* What another CPU, or an interrupt on this one, asks of a vCPU. */
enum vcpu_request {
	REQUEST_INTR = BIT(0),	/* vlapic has posted vectors, or the PIC's output rose */
	REQUEST_NMI = BIT(1),
	REQUEST_INIT = BIT(2),
	REQUEST_SIPI = BIT(3),	/* vector in sipi_vector */
	REQUEST_STOP = BIT(4),	/* the partition ends or restarts */
	REQUEST_TIMER = BIT(5), /* this CPU's deadline passed */
	REQUEST_UART = BIT(6),	/* the guest's UART has input, or room for output again */
	REQUEST_EXTINT = BIT(8), /* an ExtINT message came: ack the 8259s */
	REQUEST_FLUSH = BIT(9),	 /* second-level translations went away: flush before the next entry */
	REQUEST_REMAP = BIT(10), /* this CPU has changed them: have all flush, and wait for it */
	REQUEST_CONSOLE = BIT(7), /* this physical CPU serves the console: there is something to do */
};

enum vcpu_state {
	VCPU_OFF,	/* not started yet, or the partition stopped */
	VCPU_WAIT_SIPI, /* after INIT */
	VCPU_RUNNING,
	VCPU_HALTED, /* in HLT: an interrupt, NMI or INIT wakes it */
	VCPU_STOPPED, /* by an error or by REQUEST_STOP */
};

enum { EXIT_HISTORY = 8 };

struct partition;

struct vcpu {
	struct vcpu_regs regs; /* offset 0: see regs.gpr */
	uint32_t valid;	       /* enum vcpu_group: regs holds the guest's value */
	uint32_t dirty;	       /* enum vcpu_group: regs must be written back before entry */
	_Atomic uint32_t request; /* enum vcpu_request; any CPU may OR */
	_Atomic uint32_t sipi_vector;
	enum vcpu_state state;
	uint8_t cr8;	      /* TPR 7:4, GROUP_CR8; vcpu_take_cr8 when the guest has written it */
	bool extint;	      /* REQUEST_EXTINT was seen and the 8259s not acked yet */
	bool triple_fault;    /* an exception while #DF was pending: the partition ends */
	/* What event_next has not finished with; one word, so that nothing is soon seen. */
	union {
		struct {
			uint8_t nmi_pending; /* 0-2 */
			uint8_t windows;     /* BIT(enum virt_window): the backend was asked for these */
			uint8_t tpr_class;   /* the TPR threshold that the backend holds */
		};
		uint32_t waiting;
	};
	struct event pending; /* exception, or an event whose delivery an exit cut short */
	uint64_t tsc_offset;  /* guest TSC = host TSC + tsc_offset; GROUP_TSC_OFFSET */
	uint64_t tsc_adjust;  /* IA32_TSC_ADJUST */
	uint64_t timer_armed; /* the deadline that the physical timer holds */
	uint64_t console_deadline; /* of the console, when this CPU serves it; else UINT64_MAX */
	unsigned generation;  /* of the partition when this vCPU last started */
	bool stop_counted;    /* in partition.stopped, for this generation */
	uint64_t pvclock;     /* MSR_PVCLOCK_SYSTEM as written */
	uint64_t spec_ctrl;   /* SPEC_CTRL as the guest sees it, where it is not passed */
	uint64_t misc_enable; /* IA32_MISC_ENABLE as the guest sees it */
	struct {
		uint64_t def_type, variable[16], fixed[11];
	} mtrr; /* stored, without effect: RAM is WB, everything else is emulated */
	struct partition *part;
	void *backend;	 /* VMX or SVM state of this vCPU */
	unsigned index;	 /* in the partition; also the guest's APIC id */
	unsigned cpu;	 /* the physical CPU that runs it */
	struct vlapic apic;
	uint64_t exits[32];		    /* count per enum exit_kind */
	uint32_t history[EXIT_HISTORY]; /* the last exits: kind in 31:24, detail below */
	unsigned history_next;
	/* Of the emulator; zero when the vCPU is created: */
	struct decode_cache decoded;
	struct gwalk_memo fetches[GWALK_MEMOS];
};

/* Fetches the groups that are not valid yet. */
void vcpu_fetch(struct vcpu *v, uint32_t groups);

static inline void vcpu_need(struct vcpu *v, uint32_t groups)
{
	if (__builtin_expect((v->valid & groups) != groups, 0)) {
		vcpu_fetch(v, groups & ~v->valid);
	}
}

/* Marks groups as written. They must be valid, or be written whole. */
static inline void vcpu_touch(struct vcpu *v, uint32_t groups)
{
	v->valid |= groups;
	v->dirty |= groups;
}

/* For the backend: the guest has written CR8 without an exit. */
static inline void vcpu_take_cr8(struct vcpu *v, uint8_t cr8)
{
	v->cr8 = cr8;
	v->dirty |= GROUP_CR8; /* what the backend derives from it and the TPR threshold is old */
	vlapic_set_tpr(&v->apic, (uint8_t)(cr8 << 4));
}

/* Posts requests and kicks the CPU that runs v, if nobody had done so before. Any CPU. */
void vcpu_post(struct vcpu *v, uint32_t requests);

/* The state after RESET# or INIT (Intel SDM vol. 3, "Processor State After Reset"). */
void vcpu_reset(struct vcpu *v, bool init);

/*
 * Ends the emulation of one instruction of len bytes: advances RIP by the mode's width, clears the
 * STI and MOV SS shadow and RFLAGS.RF, and makes #DB pending if RFLAGS.TF is set.
 */
void vcpu_skip_slowly(struct vcpu *v, unsigned len);
static inline void vcpu_skip(struct vcpu *v, unsigned len)
{
	uint64_t next = v->regs.rip + len;
	bool plain = (v->valid & GROUP_STEP) == GROUP_STEP && !((next ^ v->regs.rip) >> 32) &&
		     !(v->regs.shadow & (SHADOW_STI | SHADOW_MOV_SS)) &&
		     !(v->regs.rflags & (RFLAGS_TF | RFLAGS_RF));

	if (__builtin_expect(plain, 1)) {
		v->regs.rip = next;
		vcpu_touch(v, GROUP_RIP);
	} else {
		vcpu_skip_slowly(v, len);
	}
}

/* Makes an exception pending, with the double- and triple-fault rules of the manuals. */
void vcpu_raise(struct vcpu *v, enum exception vector, bool has_error, uint32_t error);
static inline void vcpu_raise_gp0(struct vcpu *v)
{
	vcpu_raise(v, EXC_GP, true, 0);
}
static inline void vcpu_raise_ud(struct vcpu *v)
{
	vcpu_raise(v, EXC_UD, false, 0);
}

/* CPL, and the width of code in bits (16, 32, 64); both fetch what they need. */
static inline unsigned vcpu_cpl(struct vcpu *v)
{
	vcpu_need(v, GROUP_AR | GROUP_CR | GROUP_RFLAGS);
	if (!(v->regs.cr0 & CR0_PE)) {
		return 0;
	}
	if (v->regs.rflags & RFLAGS_VM) {
		return 3;
	}
	return (unsigned)field_get(SEG_DPL, v->regs.ss.ar);
}

static inline unsigned vcpu_code_bits(struct vcpu *v)
{
	vcpu_need(v, GROUP_AR | GROUP_CR);
	if ((v->regs.efer & EFER_LMA) && (v->regs.cs.ar & SEG_L)) {
		return 64;
	}
	return v->regs.cs.ar & SEG_DB ? 32 : 16;
}
