"""network and volumes"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('network_foundations',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_network_foundations'))
    )
    op.create_table('network_rbac_policies',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('object_type', sa.String(length=32), nullable=False),
    sa.Column('object_id', sa.String(length=36), nullable=False),
    sa.Column('action', sa.String(length=32), nullable=False),
    sa.Column('target', sa.String(length=255), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_network_rbac_policies')),
    sa.UniqueConstraint('object_type', 'object_id', 'action', 'target', name=op.f('uq_network_rbac_policies_object_type_object_id_action_target'))
    )
    with op.batch_alter_table('network_rbac_policies', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_network_rbac_policies_project_id'), ['project_id'], unique=False)
        batch_op.create_index('ix_network_rbac_policies_target', ['target', 'object_type'], unique=False)

    op.create_table('port_forwardings',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('project_id', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.String(length=255), nullable=False),
    sa.Column('revision_number', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('floatingip_id', sa.String(length=36), nullable=False),
    sa.Column('protocol', sa.String(length=16), nullable=False),
    sa.Column('external_port', sa.Integer(), nullable=False),
    sa.Column('external_last', sa.Integer(), nullable=False),
    sa.Column('internal_port_id', sa.String(length=36), nullable=False),
    sa.Column('internal_ip_address', sa.String(length=64), nullable=False),
    sa.Column('internal_port', sa.Integer(), nullable=False),
    sa.Column('internal_last', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['floatingip_id'], ['floatingips.id'], name=op.f('fk_port_forwardings_floatingip_id')),
    sa.ForeignKeyConstraint(['internal_port_id'], ['ports.id'], name=op.f('fk_port_forwardings_internal_port_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_port_forwardings')),
    sa.UniqueConstraint('floatingip_id', 'protocol', 'external_port', name=op.f('uq_port_forwardings_floatingip_id_protocol_external_port'))
    )
    with op.batch_alter_table('port_forwardings', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_port_forwardings_internal_port_id'), ['internal_port_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_port_forwardings_project_id'), ['project_id'], unique=False)

    with op.batch_alter_table('network_changes', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column('object_id', sa.String(length=36), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('network_changes', schema=None) as batch_op:
        batch_op.drop_column('object_id')
        batch_op.drop_column('kind')

    with op.batch_alter_table('port_forwardings', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_port_forwardings_project_id'))
        batch_op.drop_index(batch_op.f('ix_port_forwardings_internal_port_id'))

    op.drop_table('port_forwardings')
    with op.batch_alter_table('network_rbac_policies', schema=None) as batch_op:
        batch_op.drop_index('ix_network_rbac_policies_target')
        batch_op.drop_index(batch_op.f('ix_network_rbac_policies_project_id'))

    op.drop_table('network_rbac_policies')
    op.drop_table('network_foundations')
