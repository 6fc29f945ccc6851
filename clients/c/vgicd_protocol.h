/*
 * The numbers and layouts of the vgicd protocol, version 1, for C and C++.
 *
 * Generated from the protocol's declarations by `python -m vgicd_protocol.c_header --write FILE`: do not edit.
 * SPEC.md says what they mean.  All integers on the wire are little-endian.  A layout's constants are byte offsets in
 * the frame, head included; those of a repeated record (entry, result, event, effect) count from its own start.  _BYTES
 * is the size of a layout, _FIXED that of the part before its first field of a variable length.
 */

#ifndef VGICD_PROTOCOL_H
#define VGICD_PROTOCOL_H

/* Frames */
#define VGICD_PROTOCOL_VERSION 1u
#define VGICD_MAGIC            0x63696776u
#define VGICD_FRAME_LIMIT      0x10000u
#define VGICD_UPLOAD_LIMIT     0x400000u
#define VGICD_VECTOR_LIMIT     0x400u
#define VGICD_NAME_LIMIT       0x40u
#define VGICD_WINDOW_LIMIT     0x40u
#define VGICD_EVENT_LIMIT      0x800u
#define VGICD_WAIT_MS_LIMIT    0x5265C00u
#define VGICD_REPLY_BIT        0x80u
#define VGICD_NO_VCPU          0xFFFFu

/* Request flags, in `status` of a request */
#define VGICD_FLAG_EFFECTS 1u
#define VGICD_FLAG_MORE    2u

/* Reply flags, in `flags` of a reply */
#define VGICD_REPLY_MORE 1u

/* Opcodes of requests; their replies have REPLY_BIT set as well */
#define VGICD_OP_HELLO         1u
#define VGICD_OP_PING          2u
#define VGICD_OP_BYE           3u
#define VGICD_OP_READ          0x10u
#define VGICD_OP_WRITE         0x11u
#define VGICD_OP_LINE          0x12u
#define VGICD_OP_VECTOR        0x13u
#define VGICD_OP_ENTER         0x20u
#define VGICD_OP_EXIT          0x21u
#define VGICD_OP_MODE          0x22u
#define VGICD_OP_LR_GET        0x23u
#define VGICD_OP_LR_SET        0x24u
#define VGICD_OP_GICH          0x25u
#define VGICD_OP_IRQ_INFO      0x28u
#define VGICD_OP_DUMP          0x29u
#define VGICD_OP_STATS         0x2Au
#define VGICD_OP_PENDING_CHECK 0x2Bu
#define VGICD_OP_VIRQ_ALLOC    0x30u
#define VGICD_OP_VIRQ_RESERVE  0x31u
#define VGICD_OP_VIRQ_FREE     0x32u
#define VGICD_OP_HW_CONNECT    0x38u
#define VGICD_OP_HW_DISCONNECT 0x39u
#define VGICD_OP_HW_DESC       0x3Au
#define VGICD_OP_PHYS_LINE     0x3Bu
#define VGICD_OP_HW_IRQ        0x3Cu
#define VGICD_OP_VCPU_MOVE     0x3Du
#define VGICD_OP_VCPU_POWER    0x40u
#define VGICD_OP_SET_IRQ_LEVEL 0x41u
#define VGICD_OP_EVENT_CHANNEL 0x42u
#define VGICD_OP_CONSOLE       0x43u
#define VGICD_OP_TIME          0x44u
#define VGICD_OP_WAIT          0x50u
#define VGICD_OP_SUBSCRIBE     0x51u
#define VGICD_OP_SNAPSHOT      0x60u
#define VGICD_OP_RESTORE       0x61u
#define VGICD_OP_RESET         0x62u
#define VGICD_OP_JOURNAL       0x63u
#define VGICD_OP_EVENT         0x7Eu
#define VGICD_OP_ERROR         0x7Fu

/* Spaces: the low nibble of `space` */
#define VGICD_SPACE_PHYSICAL 0u
#define VGICD_SPACE_GICD     1u
#define VGICD_SPACE_GICC     2u
#define VGICD_SPACE_GICH     3u
#define VGICD_SPACE_DEVICE   4u

/* Planes: the high nibble of `space` */
#define VGICD_PLANE_GUEST   0u
#define VGICD_PLANE_DEBUG   1u
#define VGICD_PLANE_RESTORE 2u

/* Roles */
#define VGICD_ROLE_ANY     0u
#define VGICD_ROLE_OBSERVE 1u
#define VGICD_ROLE_GUEST   2u
#define VGICD_ROLE_CONTROL 3u

/* Features of HELLO and WELCOME */
#define VGICD_FEATURE_VECTOR   1u
#define VGICD_FEATURE_EFFECTS  2u
#define VGICD_FEATURE_EVENTS   4u
#define VGICD_FEATURE_WAIT     8u
#define VGICD_FEATURE_SNAPSHOT 0x10u
#define VGICD_FEATURE_DEVICES  0x20u
#define VGICD_FEATURE_CONSOLE  0x40u
#define VGICD_FEATURE_JOURNAL  0x80u

/* Kinds of a vector's entry: the low nibble of its `operation` */
#define VGICD_ENTRY_READ  0u
#define VGICD_ENTRY_WRITE 1u
#define VGICD_ENTRY_LINE  2u

/* Kinds of event; a SUBSCRIBE mask has bit 1 << kind */
#define VGICD_EVENT_OUTPUT      0u
#define VGICD_EVENT_LINE        1u
#define VGICD_EVENT_PEND        2u
#define VGICD_EVENT_QUEUE       3u
#define VGICD_EVENT_LOAD        4u
#define VGICD_EVENT_ACK         5u
#define VGICD_EVENT_EOI         6u
#define VGICD_EVENT_DEACTIVATE  7u
#define VGICD_EVENT_UNLIST      8u
#define VGICD_EVENT_MIGRATE     9u
#define VGICD_EVENT_KICK        0xAu
#define VGICD_EVENT_MAINTENANCE 0xBu
#define VGICD_EVENT_ACCESS      0xCu
#define VGICD_EVENT_FAULT       0xDu
#define VGICD_EVENT_ENTER       0xEu
#define VGICD_EVENT_EXIT        0xFu
#define VGICD_EVENT_RESET       0x10u
#define VGICD_EVENT_CONSOLE     0x11u
#define VGICD_EVENT_GAP         0xFFu
#define VGICD_EVENT_MASK        0x3FFFFu

/* Kinds of effect */
#define VGICD_EFFECT_KICK       1u
#define VGICD_EFFECT_ENABLE     2u
#define VGICD_EFFECT_DISABLE    3u
#define VGICD_EFFECT_AFFINITY   4u
#define VGICD_EFFECT_TYPE       5u
#define VGICD_EFFECT_ACTIVE     6u
#define VGICD_EFFECT_PENDING    7u
#define VGICD_EFFECT_SAMPLE     8u
#define VGICD_EFFECT_DEACTIVATE 9u

/* Keys of RESET's settings */
#define VGICD_SETTING_VCPUS               1u
#define VGICD_SETTING_SPIS                2u
#define VGICD_SETTING_LRS                 3u
#define VGICD_SETTING_VARIANT             4u
#define VGICD_SETTING_PROFILE             5u
#define VGICD_SETTING_XEN_WITHOUT         6u
#define VGICD_SETTING_GIC_VERSION         7u
#define VGICD_SETTING_LAYOUT              8u
#define VGICD_SETTING_GICD_BASE           9u
#define VGICD_SETTING_GICC_BASE           0xAu
#define VGICD_SETTING_GICC_SIZE           0xBu
#define VGICD_SETTING_HARDWARE_DOMAIN     0xCu
#define VGICD_SETTING_STRICT_ABORT        0xDu
#define VGICD_SETTING_TRAP_UNMAPPED       0xEu
#define VGICD_SETTING_IIDR_REVISION       0xFu
#define VGICD_SETTING_EOI_COMPARES_SOURCE 0x10u
#define VGICD_SETTING_EOI_WHEN_IDLE       0x11u
#define VGICD_SETTING_TIMER_HZ            0x12u
#define VGICD_SETTING_LAZY                0x13u

/* Status codes of replies */
#define VGICD_STATUS_OK              0u
#define VGICD_STATUS_ABORT           1u
#define VGICD_STATUS_BAD_VCPU        0x10u
#define VGICD_STATUS_BAD_INTID       0x11u
#define VGICD_STATUS_BAD_ADDRESS     0x12u
#define VGICD_STATUS_BAD_SIZE        0x13u
#define VGICD_STATUS_BAD_VALUE       0x14u
#define VGICD_STATUS_BAD_STATE       0x15u
#define VGICD_STATUS_OWNED           0x16u
#define VGICD_STATUS_READ_ONLY       0x17u
#define VGICD_STATUS_NO_DEVICE       0x18u
#define VGICD_STATUS_BAD_IMAGE       0x19u
#define VGICD_STATUS_BAD_CONFIG      0x1Au
#define VGICD_STATUS_FATAL_ASSERTION 0x20u
#define VGICD_STATUS_UNSUPPORTED     0x40u
#define VGICD_STATUS_DENIED          0x41u
#define VGICD_STATUS_BAD_BODY        0x42u
#define VGICD_STATUS_RESERVED_BITS   0x43u
#define VGICD_STATUS_TOO_MANY        0x44u
#define VGICD_STATUS_VERSION         0x45u
#define VGICD_STATUS_BUSY            0x46u
#define VGICD_STATUS_TIMEOUT         0x47u
#define VGICD_STATUS_NOT_HELLO       0x48u
#define VGICD_STATUS_FRAME_LENGTH    0x49u
#define VGICD_STATUS_FRAME_ORDER     0x4Au
#define VGICD_STATUS_INTERNAL        0x4Fu

/* The same with what they mean: X(name, number, sentence) */
#define VGICD_STATUSES(X) \
    X(OK, 0x00, "The operation was applied.") \
    X(ABORT, 0x01, "The guest's access faulted: deliver an abort to the guest.") \
    X(BAD_VCPU, 0x10, "No such vCPU: use 0 to vcpus - 1 of WELCOME (0xFFFF owns an SPI's line).") \
    X(BAD_INTID, 0x11, "No such interrupt: use 0 to 31 + spis of WELCOME; an SGI has no line, a PPI's needs its vCPU.") \
    X(BAD_ADDRESS, 0x12, "The address is outside the named space: compare it with the frames of WELCOME.") \
    X(BAD_SIZE, 0x13, "The size is not 1, 2, 4 or 8 bytes.") \
    X(BAD_VALUE, 0x14, "A field is outside its range: compare it with the message's table.") \
    X(BAD_STATE, 0x15, "Not now: check the world-switch mode and whether the vCPU is inside the guest or powered off.") \
    X(OWNED, 0x16, "The line belongs to a device of the domain: drive the device instead.") \
    X(READ_ONLY, 0x17, "Nothing can be written there: the DEBUG plane only reads, and not every register holds state.") \
    X(NO_DEVICE, 0x18, "This domain's profile has no such device: choose a profile that has it.") \
    X(BAD_IMAGE, 0x19, "The state image is damaged or was taken from a domain of another geometry.") \
    X(BAD_CONFIG, 0x1A, "The configuration names something unknown or out of range: correct the named key.") \
    X(FATAL_ASSERTION, 0x20, "Xen would have stopped here (variant xen): the state is as before the operation.") \
    X(UNSUPPORTED, 0x40, "Unknown opcode or feature: use only what this version of the protocol lists.") \
    X(DENIED, 0x41, "The connection's role does not allow this: say HELLO with a higher role, if your uid may.") \
    X(BAD_BODY, 0x42, "The body does not have the message's layout: compare it with the message's table.") \
    X(RESERVED_BITS, 0x43, "Reserved bits or flags are set: send them as zero.") \
    X(TOO_MANY, 0x44, "More than the limit: send fewer at a time; the limits are in WELCOME.") \
    X(VERSION, 0x45, "No common protocol version: speak one that the other side names.") \
    X(BUSY, 0x46, "Too many connections: close one or try again later.") \
    X(TIMEOUT, 0x47, "The deadline passed before it happened.") \
    X(NOT_HELLO, 0x48, "The first frame must be HELLO, and only the first.") \
    X(FRAME_LENGTH, 0x49, "The frame's length is below its head or above the limit of WELCOME.") \
    X(FRAME_ORDER, 0x4A, "A frame of another request came inside an upload: send an upload's frames consecutively.") \
    X(INTERNAL, 0x4F, "The daemon failed to carry out the operation: its log has the reason.")

/* Head of a frame */
#define VGICD_HEAD_LENGTH     0u
#define VGICD_HEAD_VERSION    4u
#define VGICD_HEAD_OPCODE     5u
#define VGICD_HEAD_STATUS     6u
#define VGICD_HEAD_REQUEST_ID 8u
#define VGICD_HEAD_BYTES      0xCu

/* Head of everything that the server sends */
#define VGICD_REPLY_LENGTH     0u
#define VGICD_REPLY_VERSION    4u
#define VGICD_REPLY_OPCODE     5u
#define VGICD_REPLY_STATUS     6u
#define VGICD_REPLY_REQUEST_ID 8u
#define VGICD_REPLY_OUTPUTS    0xCu
#define VGICD_REPLY_FLAGS      0xEu
#define VGICD_REPLY_ORDER      0x10u
#define VGICD_REPLY_BYTES      0x18u

/* READ, WRITE and LINE */
#define VGICD_HOT_VCPU    0xCu
#define VGICD_HOT_SIZE    0xEu
#define VGICD_HOT_SPACE   0xFu
#define VGICD_HOT_ADDRESS 0x10u
#define VGICD_HOT_VALUE   0x18u
#define VGICD_HOT_BYTES   0x20u

/* Their replies without EFFECTS */
#define VGICD_HOT_REPLY_VALUE 0x18u
#define VGICD_HOT_REPLY_BYTES 0x20u

/* Entry of a vector */
#define VGICD_ENTRY_VALUE     0u
#define VGICD_ENTRY_OFFSET    8u
#define VGICD_ENTRY_VCPU      0xCu
#define VGICD_ENTRY_OPERATION 0xEu
#define VGICD_ENTRY_SPACE     0xFu
#define VGICD_ENTRY_BYTES     0x10u

/* Result of a vector */
#define VGICD_RESULT_VALUE   0u
#define VGICD_RESULT_STATUS  8u
#define VGICD_RESULT_OUTPUTS 0xAu
#define VGICD_RESULT_BYTES   0x10u

/* Event */
#define VGICD_EVENT_RECORD_ORDER   0u
#define VGICD_EVENT_RECORD_KIND    8u
#define VGICD_EVENT_RECORD_VCPU    9u
#define VGICD_EVENT_RECORD_INTID   0xAu
#define VGICD_EVENT_RECORD_ADDRESS 0xCu
#define VGICD_EVENT_RECORD_VALUE   0x10u
#define VGICD_EVENT_RECORD_BYTES   0x18u

/* Effect */
#define VGICD_EFFECT_RECORD_KIND  0u
#define VGICD_EFFECT_RECORD_A     1u
#define VGICD_EFFECT_RECORD_B     2u
#define VGICD_EFFECT_RECORD_C     4u
#define VGICD_EFFECT_RECORD_BYTES 8u

/* Frames of EVENT */
#define VGICD_EVENT_FRAME_COUNT  0x18u
#define VGICD_EVENT_FRAME_EVENTS 0x20u
#define VGICD_EVENT_FRAME_FIXED  0x20u

/* Limits, in WELCOME */
#define VGICD_LIMITS_FRAME               0u
#define VGICD_LIMITS_UPLOAD              4u
#define VGICD_LIMITS_ENTRIES             8u
#define VGICD_LIMITS_WAITS               0xCu
#define VGICD_LIMITS_TURN                0x10u
#define VGICD_LIMITS_CONNECTIONS         0x14u
#define VGICD_LIMITS_CONNECTIONS_PER_UID 0x18u
#define VGICD_LIMITS_REPLY_QUEUE         0x1Cu
#define VGICD_LIMITS_EVENT_QUEUE         0x20u
#define VGICD_LIMITS_HELLO_MS            0x24u
#define VGICD_LIMITS_FRAME_MS            0x28u
#define VGICD_LIMITS_WRITE_MS            0x2Cu
#define VGICD_LIMITS_EVENTS_MS           0x30u
#define VGICD_LIMITS_WAIT_MS             0x34u
#define VGICD_LIMITS_LOG_LINES           0x38u
#define VGICD_LIMITS_BYTES               0x3Cu

/* HELLO, request */
#define VGICD_HELLO_MAGIC    0xCu
#define VGICD_HELLO_LOWEST   0x10u
#define VGICD_HELLO_HIGHEST  0x11u
#define VGICD_HELLO_ROLE     0x12u
#define VGICD_HELLO_FEATURES 0x14u
#define VGICD_HELLO_CLIENT   0x18u
#define VGICD_HELLO_FIXED    0x18u

/* HELLO, reply */
#define VGICD_WELCOME_MAGIC    0x18u
#define VGICD_WELCOME_VERSION  0x1Cu
#define VGICD_WELCOME_ROLE     0x1Du
#define VGICD_WELCOME_EXPLICIT 0x1Eu
#define VGICD_WELCOME_FEATURES 0x20u
#define VGICD_WELCOME_LIMITS   0x24u
#define VGICD_WELCOME_VCPUS    0x60u
#define VGICD_WELCOME_SPIS     0x62u
#define VGICD_WELCOME_LRS      0x64u
#define VGICD_WELCOME_VARIANT  0x68u
#define VGICD_WELCOME_FIXED    0x68u

/* VECTOR, request */
#define VGICD_VECTOR_COUNT   0xCu
#define VGICD_VECTOR_ENTRIES 0x10u
#define VGICD_VECTOR_FIXED   0x10u

/* VECTOR, reply */
#define VGICD_VECTOR_REPLY_COUNT   0x18u
#define VGICD_VECTOR_REPLY_RESULTS 0x20u
#define VGICD_VECTOR_REPLY_FIXED   0x20u

/* ENTER, request */
#define VGICD_ENTER_VCPU  0xCu
#define VGICD_ENTER_BYTES 0x10u

/* ENTER, reply */
#define VGICD_ENTER_REPLY_HCR   0x18u
#define VGICD_ENTER_REPLY_MISR  0x1Cu
#define VGICD_ENTER_REPLY_USED  0x20u
#define VGICD_ENTER_REPLY_COUNT 0x24u
#define VGICD_ENTER_REPLY_LRS   0x28u
#define VGICD_ENTER_REPLY_FIXED 0x28u

/* EXIT, request */
#define VGICD_EXIT_VCPU  0xCu
#define VGICD_EXIT_BYTES 0x10u

/* EXIT, reply */
#define VGICD_EXIT_REPLY_EISR  0x18u
#define VGICD_EXIT_REPLY_ELRSR 0x20u
#define VGICD_EXIT_REPLY_MISR  0x28u
#define VGICD_EXIT_REPLY_APR   0x2Cu
#define VGICD_EXIT_REPLY_HCR   0x30u
#define VGICD_EXIT_REPLY_COUNT 0x34u
#define VGICD_EXIT_REPLY_LRS   0x38u
#define VGICD_EXIT_REPLY_FIXED 0x38u

/* MODE, request */
#define VGICD_MODE_EXPLICIT 0xCu
#define VGICD_MODE_BYTES    0x10u

/* LR_GET, request */
#define VGICD_LR_GET_VCPU  0xCu
#define VGICD_LR_GET_BYTES 0x10u

/* LR_GET, reply */
#define VGICD_LR_GET_REPLY_EISR   0x18u
#define VGICD_LR_GET_REPLY_ELRSR  0x20u
#define VGICD_LR_GET_REPLY_INSIDE 0x28u
#define VGICD_LR_GET_REPLY_USED   0x2Au
#define VGICD_LR_GET_REPLY_HCR    0x2Cu
#define VGICD_LR_GET_REPLY_VTR    0x30u
#define VGICD_LR_GET_REPLY_VMCR   0x34u
#define VGICD_LR_GET_REPLY_MISR   0x38u
#define VGICD_LR_GET_REPLY_APR    0x3Cu
#define VGICD_LR_GET_REPLY_COUNT  0x40u
#define VGICD_LR_GET_REPLY_LRS    0x44u
#define VGICD_LR_GET_REPLY_FIXED  0x44u

/* LR_SET, request */
#define VGICD_LR_SET_VCPU  0xCu
#define VGICD_LR_SET_INDEX 0xEu
#define VGICD_LR_SET_VALUE 0x10u
#define VGICD_LR_SET_BYTES 0x14u

/* GICH, request */
#define VGICD_GICH_VCPU   0xCu
#define VGICD_GICH_OFFSET 0xEu
#define VGICD_GICH_VALUE  0x10u
#define VGICD_GICH_BYTES  0x14u

/* IRQ_INFO, request */
#define VGICD_IRQ_INFO_INTID 0xCu
#define VGICD_IRQ_INFO_VCPU  0x10u
#define VGICD_IRQ_INFO_BYTES 0x14u

/* IRQ_INFO, reply */
#define VGICD_IRQ_INFO_REPLY_INTID         0x18u
#define VGICD_IRQ_INFO_REPLY_VCPU          0x1Cu
#define VGICD_IRQ_INFO_REPLY_ENABLED       0x1Eu
#define VGICD_IRQ_INFO_REPLY_IS_LEVEL      0x1Fu
#define VGICD_IRQ_INFO_REPLY_LINE_LEVEL    0x20u
#define VGICD_IRQ_INFO_REPLY_PENDING_LATCH 0x21u
#define VGICD_IRQ_INFO_REPLY_PENDING       0x22u
#define VGICD_IRQ_INFO_REPLY_ACTIVE        0x23u
#define VGICD_IRQ_INFO_REPLY_GROUP         0x24u
#define VGICD_IRQ_INFO_REPLY_PRIORITY      0x25u
#define VGICD_IRQ_INFO_REPLY_TARGETS       0x26u
#define VGICD_IRQ_INFO_REPLY_SOURCE        0x27u
#define VGICD_IRQ_INFO_REPLY_ACTIVE_SOURCE 0x28u
#define VGICD_IRQ_INFO_REPLY_HW            0x29u
#define VGICD_IRQ_INFO_REPLY_TARGET        0x2Au
#define VGICD_IRQ_INFO_REPLY_LISTED        0x2Cu
#define VGICD_IRQ_INFO_REPLY_POSITION      0x2Eu
#define VGICD_IRQ_INFO_REPLY_LR            0x30u
#define VGICD_IRQ_INFO_REPLY_HWINTID       0x34u
#define VGICD_IRQ_INFO_REPLY_LR_VALUE      0x38u
#define VGICD_IRQ_INFO_REPLY_BYTES         0x3Cu

/* DUMP, request */
#define VGICD_DUMP_KIND  0xCu
#define VGICD_DUMP_BYTES 0x10u

/* DUMP, reply */
#define VGICD_DUMP_REPLY_VALUE 0x18u
#define VGICD_DUMP_REPLY_FIXED 0x18u

/* STATS, reply */
#define VGICD_STATS_REPLY_COUNT   0x18u
#define VGICD_STATS_REPLY_ENTRIES 0x20u
#define VGICD_STATS_REPLY_FIXED   0x20u

/* PENDING_CHECK, request */
#define VGICD_PENDING_CHECK_VCPU  0xCu
#define VGICD_PENDING_CHECK_KIND  0xEu
#define VGICD_PENDING_CHECK_BYTES 0x10u

/* PENDING_CHECK, reply */
#define VGICD_PENDING_CHECK_REPLY_VALUE 0x18u
#define VGICD_PENDING_CHECK_REPLY_BYTES 0x19u

/* VIRQ_ALLOC, request */
#define VGICD_VIRQ_ALLOC_SPI   0xCu
#define VGICD_VIRQ_ALLOC_BYTES 0x10u

/* VIRQ_ALLOC, reply */
#define VGICD_VIRQ_ALLOC_REPLY_VALUE 0x18u
#define VGICD_VIRQ_ALLOC_REPLY_BYTES 0x1Cu

/* VIRQ_RESERVE, request */
#define VGICD_VIRQ_RESERVE_VIRQ  0xCu
#define VGICD_VIRQ_RESERVE_BYTES 0x10u

/* VIRQ_RESERVE, reply */
#define VGICD_VIRQ_RESERVE_REPLY_VALUE 0x18u
#define VGICD_VIRQ_RESERVE_REPLY_BYTES 0x19u

/* VIRQ_FREE, request */
#define VGICD_VIRQ_FREE_VIRQ  0xCu
#define VGICD_VIRQ_FREE_BYTES 0x10u

/* HW_CONNECT, request */
#define VGICD_HW_CONNECT_VIRQ  0xCu
#define VGICD_HW_CONNECT_PIRQ  0x10u
#define VGICD_HW_CONNECT_BYTES 0x14u

/* HW_CONNECT, reply */
#define VGICD_HW_CONNECT_REPLY_VALUE 0x18u
#define VGICD_HW_CONNECT_REPLY_BYTES 0x1Cu

/* HW_DISCONNECT, request */
#define VGICD_HW_DISCONNECT_VIRQ  0xCu
#define VGICD_HW_DISCONNECT_PIRQ  0x10u
#define VGICD_HW_DISCONNECT_BYTES 0x14u

/* HW_DISCONNECT, reply */
#define VGICD_HW_DISCONNECT_REPLY_VALUE 0x18u
#define VGICD_HW_DISCONNECT_REPLY_BYTES 0x1Cu

/* HW_DESC, request */
#define VGICD_HW_DESC_VIRQ  0xCu
#define VGICD_HW_DESC_BYTES 0x10u

/* HW_DESC, reply */
#define VGICD_HW_DESC_REPLY_VALUE 0x18u
#define VGICD_HW_DESC_REPLY_BYTES 0x1Cu

/* PHYS_LINE, request */
#define VGICD_PHYS_LINE_PIRQ  0xCu
#define VGICD_PHYS_LINE_LEVEL 0x10u
#define VGICD_PHYS_LINE_BYTES 0x14u

/* HW_IRQ, request */
#define VGICD_HW_IRQ_PIRQ  0xCu
#define VGICD_HW_IRQ_VIRQ  0x10u
#define VGICD_HW_IRQ_BYTES 0x14u

/* VCPU_MOVE, request */
#define VGICD_VCPU_MOVE_VCPU  0xCu
#define VGICD_VCPU_MOVE_PCPU  0x10u
#define VGICD_VCPU_MOVE_BYTES 0x14u

/* VCPU_POWER, request */
#define VGICD_VCPU_POWER_VCPU  0xCu
#define VGICD_VCPU_POWER_ON    0xEu
#define VGICD_VCPU_POWER_BYTES 0x10u

/* SET_IRQ_LEVEL, request */
#define VGICD_SET_IRQ_LEVEL_INTID   0xCu
#define VGICD_SET_IRQ_LEVEL_LEVEL   0x10u
#define VGICD_SET_IRQ_LEVEL_PADDING 0x14u
#define VGICD_SET_IRQ_LEVEL_BYTES   0x18u

/* SET_IRQ_LEVEL, reply */
#define VGICD_SET_IRQ_LEVEL_REPLY_VALUE 0x18u
#define VGICD_SET_IRQ_LEVEL_REPLY_BYTES 0x1Cu

/* EVENT_CHANNEL, request */
#define VGICD_EVENT_CHANNEL_VCPU  0xCu
#define VGICD_EVENT_CHANNEL_FLAG  0xEu
#define VGICD_EVENT_CHANNEL_BYTES 0x10u

/* CONSOLE, request */
#define VGICD_CONSOLE_DATA  0xCu
#define VGICD_CONSOLE_FIXED 0xCu

/* CONSOLE, reply */
#define VGICD_CONSOLE_REPLY_ACCEPTED 0x18u
#define VGICD_CONSOLE_REPLY_DATA     0x1Cu
#define VGICD_CONSOLE_REPLY_FIXED    0x1Cu

/* TIME, request */
#define VGICD_TIME_NOW   0x10u
#define VGICD_TIME_BYTES 0x18u

/* WAIT, request */
#define VGICD_WAIT_OUTPUTS      0xCu
#define VGICD_WAIT_MILLISECONDS 0x10u
#define VGICD_WAIT_BYTES        0x14u

/* SUBSCRIBE, request */
#define VGICD_SUBSCRIBE_MASK  0xCu
#define VGICD_SUBSCRIBE_BYTES 0x10u

/* SNAPSHOT, reply */
#define VGICD_SNAPSHOT_REPLY_IMAGE 0x18u
#define VGICD_SNAPSHOT_REPLY_FIXED 0x18u

/* RESTORE, request */
#define VGICD_RESTORE_IMAGE 0x10u
#define VGICD_RESTORE_FIXED 0x10u

/* RESET, request */
#define VGICD_RESET_CONFIGURE 0xCu
#define VGICD_RESET_COUNT     0xEu
#define VGICD_RESET_ENTRIES   0x10u
#define VGICD_RESET_FIXED     0x10u

/* RESET, reply */
#define VGICD_RESET_REPLY_VALUE 0x18u
#define VGICD_RESET_REPLY_BYTES 0x1Cu

#endif /* VGICD_PROTOCOL_H */
